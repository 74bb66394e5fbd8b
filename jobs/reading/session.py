"""A session in which a published night can be read by SQL: tables, views, SQL functions, and the model's functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from jobs.reading.model_functions import NAMES, register_functions
from lake.run import Lake
from lake.session import start_session
from lake.views import bring_into_scope
from schemas.errors import UserError
from schemas.settings import load_settings
from schemas.tables import all_contracts

MODEL_CALL = re.compile(rf"\b({'|'.join(NAMES)})\s*\(", flags=re.IGNORECASE)


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
    _night: str | None = None
    _with_model: bool = False

    def __post_init__(self) -> None:
        lake = self.lake
        if not lake.files.exists(lake.warehouse.root):
            raise UserError(f"--warehouse {lake.location}: no such folder; run nightly first")
        self._enter()

    def _enter(self) -> None:
        night = self.lake.published.current()
        self._night = None if night is None else night.run_id
        contracts = all_contracts(self.lake.settings.ranking.task_names)
        versions = {} if night is None else night.versions
        self.names = bring_into_scope(self.lake.warehouse, [contract.name for contract in contracts], versions)

    def prepare(self, statement: str) -> None:
        """Registers the model's functions, if a statement calls one of them and they are not registered yet.

        Raises:
            UserError: there is no encoder yet.
        """
        if not self._with_model and MODEL_CALL.search(statement):
            self.register_model()

    def register_model(self) -> None:
        """Registers the model's functions, see :func:`jobs.reading.model_functions.register_functions`."""
        register_functions(self.lake.spark, self.lake)
        self._with_model = True

    def refresh(self) -> bool:
        """Goes on to the night that is published now; returns whether it is another one."""
        night = self.lake.published.current()
        if night is None or night.run_id == self._night:
            return False
        self._enter()
        if self._with_model:
            self.register_model()
        return True


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
    if reader.lake.artifacts.latest("encoder") is not None:
        reader.register_model()
    return reader.lake.spark
