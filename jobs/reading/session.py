"""A session in which a published night can be read by SQL: tables, views, SQL functions, and the model's functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from lake.lake import Lake
from lake.published import Night, artifact_of
from lake.session import start_session
from lake.views import bring_into_scope
from schemas.errors import UserError
from schemas.functions import MODEL_FUNCTIONS
from schemas.settings import load_settings
from schemas.tables import all_contracts

MODEL_CALL = re.compile(rf"\b({'|'.join(MODEL_FUNCTIONS)})\s*\(", flags=re.IGNORECASE)


@dataclass
class Reader:
    """The published night of a warehouse in a session.

    The names mean the same night until :meth:`refresh` is called. The language model is shipped to the executors when
    the first statement calls one of its functions.

    Attributes:
        lake: the session and the warehouse.
        names: short names of the tables and views in scope.
    """

    lake: Lake
    names: list[str] = field(default_factory=list)
    _night: Night | None = None
    _with_model: bool = False

    def __post_init__(self) -> None:
        lake = self.lake
        if not lake.files.exists(lake.warehouse.root):
            raise UserError(f"--warehouse {lake.location}: no such folder; run nightly first")
        self._enter(lake.published.current())

    def _enter(self, night: Night | None) -> None:
        """Gives the names the meaning that they have in a night. If it fails, the next :meth:`refresh` tries again."""
        if self._with_model:
            self._register(night)
        contracts = all_contracts(self.lake.settings.ranking.task_names)
        versions = {} if night is None else night.versions
        self.names = bring_into_scope(self.lake.warehouse, [contract.name for contract in contracts], versions)
        self._night = night

    def _register(self, night: Night | None) -> None:
        from jobs.reading.model_functions import register_functions  # loads torch and transformers, for seconds

        register_functions(self.lake.spark, self.lake, night)
        self._with_model = True

    def prepare(self, statement: str) -> None:
        """Registers the model's functions, if a statement calls one of them and they are not registered yet.

        Raises:
            UserError: there is no encoder yet.
        """
        if not self._with_model and MODEL_CALL.search(statement):
            self._register(self._night)

    def register_model(self) -> None:
        """Registers the model's functions, if there is an encoder and they are not registered yet.

        See :func:`jobs.reading.model_functions.register_functions`.
        """
        if not self._with_model and artifact_of(self._night, self.lake.artifacts, "encoder") is not None:
            self._register(self._night)

    def refresh(self) -> bool:
        """Goes on to the night that is published now, and registers the model's functions once there is an encoder.

        Tables, views and functions change one after the other. If one of them fails, the next call begins anew.

        Returns:
            Whether it is another night.
        """
        night = self.lake.published.current()
        is_another = night is not None and (self._night is None or night.run_id != self._night.run_id)
        if is_another:
            self._enter(night)
        self.register_model()
        return is_another


def read_warehouse(location: str, config: Sequence[str] = (), assignments: Sequence[str] = ()) -> SparkSession:
    """A session for notebooks, with everything in scope that the SQL shell has.

    Args:
        location: folder or ``catalog.schema`` of the warehouse.
        config: files with settings.
        assignments: settings as ``section.key=value``.

    Raises:
        UserError: the warehouse does not exist, or a setting is wrong.
    """
    settings = load_settings(config, assignments)
    reader = Reader(Lake(start_session("qarm notebook", settings.spark), settings, location))
    reader.register_model()
    return reader.lake.spark
