"""What a job works with: one run of it, which reads fixed snapshots and enforces the job's declaration."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lake.artifacts import Artifact
from lake.declaration import Job
from lake.lake import Lake
from lake.ledger import Measurement
from lake.progress import doing
from lake.scratch import scratch_folder
from schemas.contract import Contract
from schemas.errors import UndeclaredError, UserError, user_mistakes
from schemas.settings import Settings

log = logging.getLogger("qarm")


@dataclass
class Run:
    """One run of one job. It reads fixed snapshots, writes tables and artifacts, and collects measurements.

    Attributes:
        lake: Spark and the warehouse.
        job: the declaration of the job.
        run_id: id of the run; all jobs of a nightly have the same.
        started_at: when the run started, UTC.
        inputs: versions of the tables, files and artifacts read so far, by name.
        outputs: versions of the tables and artifacts written so far, by name.
        measurements: numbers measured so far.
        curves: curves of the trainings so far, by name; a point has ``step`` and the numbers measured there.
    """

    lake: Lake
    job: Job
    run_id: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    @property
    def spark(self) -> SparkSession:
        """The Spark session."""
        return self.lake.spark

    @property
    def settings(self) -> Settings:
        """All settings."""
        return self.lake.settings

    def read(self, table: str) -> DataFrame:
        """A table, always in the version of the run's first read.

        Raises:
            UserError: the table does not exist.
            UndeclaredError: the job does not declare it.
        """
        return self.lake.warehouse.read(table, int(self.version(table)))

    def find(self, table: str) -> DataFrame | None:
        """A table in the version of the run's first read; None if the table does not exist.

        Raises:
            UndeclaredError: the job does not declare it.
        """
        self._declared(table, self.job.may_read)
        return self.read(table) if self.lake.warehouse.exists(table) else None

    def find_with_columns(self, contract: Contract) -> DataFrame | None:
        """A table as :meth:`find` gives it; None also if an earlier qarm wrote it with other columns.

        Raises:
            UndeclaredError: the job does not declare it.
        """
        rows = self.find(contract.name)
        return rows if rows is not None and rows.columns == contract.names else None

    def read_back(self, table: str) -> DataFrame:
        """A table in the version that this run wrote last."""
        return self.lake.warehouse.read(table, int(self.outputs[table]))

    def read_at(self, table: str, version: str) -> DataFrame:
        """A table in a given version, which later reads of this run use too.

        Raises:
            UndeclaredError: the job does not declare it.
        """
        self._declared(table, self.job.may_read)
        self.inputs[table] = version
        return self.read(table)

    def read_earlier(self, table: str, version: int) -> DataFrame:
        """A table in an earlier version; later reads of this run keep theirs.

        Raises:
            UndeclaredError: the job does not declare it.
        """
        self._declared(table, self.job.may_read)
        return self.lake.warehouse.read(table, version)

    def changes(self, table: str, since: int, until: int) -> DataFrame:
        """The change data feed of a table, see :meth:`lake.snapshots.Snapshots.changes`.

        Raises:
            UndeclaredError: the job does not declare it.
        """
        self._declared(table, self.job.may_read)
        return self.lake.warehouse.changes(table, since, until)

    def version(self, table: str) -> str:
        """The version of a table that this run reads.

        Raises:
            UserError: the table does not exist.
            UndeclaredError: the job does not declare it.
        """
        self._declared(table, self.job.may_read)
        if table not in self.inputs:
            version = self.lake.warehouse.version(table)
            if version is None:
                raise UserError(
                    f"table {table} does not exist in {self.lake.location}; run the job that writes it, or nightly"
                )
            self.inputs[table] = str(version)
        return self.inputs[table]

    def _declared(self, name: str, allowed: Collection[str]) -> None:
        if name not in allowed:
            raise UndeclaredError(
                f"job {self.job.name} uses {name}, which its declaration does not name; add it to JOB in"
                f" jobs/{self.job.name}.py, as lineage and staleness depend on it"
            )

    def use(self, kind: str, made_by: str) -> Artifact:
        """The current artifact of a kind.

        Args:
            kind: kind of artifact.
            made_by: job that publishes the kind, for the message.

        Raises:
            UserError: there is none.
            UndeclaredError: the job does not declare it.
        """
        self._declared(kind, self.job.may_read)
        artifact = self.lake.artifacts.require(kind, made_by)
        self.inputs[kind] = artifact.version
        return artifact

    def latest(self, kind: str) -> Artifact | None:
        """The current artifact of a kind; None if there is none.

        Raises:
            UndeclaredError: the job does not declare it.
        """
        self._declared(kind, self.job.may_read)
        artifact = self.lake.artifacts.latest(kind)
        if artifact is not None and kind not in self.outputs:
            self.inputs[kind] = artifact.version
        return artifact

    def artifact(self, kind: str, version: str) -> Artifact:
        """An artifact in a given version.

        Raises:
            QarmError: the version does not exist or is not complete.
            UndeclaredError: the job does not declare it.
        """
        self._declared(kind, self.job.may_read)
        artifact = self.lake.artifacts.get(kind, version)
        self.inputs[kind] = artifact.version
        return artifact

    def overwrite(self, contract: Contract, rows: DataFrame) -> None:
        """Replaces all rows of a table."""
        self._declared(contract.name, self.job.may_write)
        self.outputs[contract.name] = str(self.lake.warehouse.overwrite(contract, rows))

    def append(self, contract: Contract, rows: DataFrame) -> None:
        """Adds rows to a table."""
        self._declared(contract.name, self.job.may_write)
        self.outputs[contract.name] = str(self.lake.warehouse.append(contract, rows))

    def merge(
        self,
        contract: Contract,
        rows: DataFrame,
        compare: Sequence[str],
        *,
        keep: Sequence[str] = (),
        within: str | None = None,
    ) -> None:
        """Merges rows by key, see :meth:`lake.warehouse.Warehouse.merge`."""
        self._declared(contract.name, self.job.may_write)
        version = self.lake.warehouse.merge(contract, rows, compare, keep=keep, within=within)
        self.outputs[contract.name] = str(version)

    def publish(self, kind: str, folder: Path, recipe: Mapping[str, Any], **card: Any) -> Artifact:
        """Publishes an artifact.

        Args:
            kind: kind of artifact.
            folder: local folder with its files.
            recipe: settings and inputs that it was made from; equal recipes make equal artifacts.
            card: further description.
        """
        self._declared(kind, self.job.may_write)
        self.lake.assert_held()
        artifact = self.lake.artifacts.publish(kind, folder, {"recipe": dict(recipe), **card})
        self.outputs[kind] = artifact.version
        return artifact

    def reuse(self, kind: str, recipe: Mapping[str, Any], may_lack_newer_settings: bool = False) -> Artifact | None:
        """Finds an artifact that was made by a recipe, and makes it current.

        If there are several, the current artifact is preferred, then the newest.

        Args:
            kind: kind of artifact.
            recipe: settings and inputs that it is made from.
            may_lack_newer_settings: see :meth:`lake.artifacts.Artifact.made_by`.

        Returns:
            The artifact; None if no artifact was made by the recipe.
        """
        current = self.lake.artifacts.latest(kind)
        if current is not None and current.made_by(recipe, may_lack_newer_settings):
            found: Artifact | None = current
        else:
            found = self.lake.artifacts.by_recipe(kind, recipe, may_lack_newer_settings)
        if found is not None:
            self.lake.assert_held()
            self.lake.artifacts.make_current(found)
            self.outputs[kind] = found.version
        return found

    def made_once(self, kind: str, recipe: Mapping[str, Any], make: Callable[[Path], None]) -> Artifact:
        """Finds an artifact that was made by a recipe, or makes it from files outside the warehouse.

        Args:
            kind: kind of artifact.
            recipe: settings and inputs that it is made from.
            make: writes the files to an empty folder.

        Raises:
            UserError: ``make`` did not find a file that the settings name.
        """
        self._declared(kind, self.job.may_write)
        artifact = self.lake.artifacts.by_recipe(kind, recipe)
        if artifact is None:
            with scratch_folder() as folder:
                with user_mistakes():
                    make(folder)
                self.lake.assert_held()
                artifact = self.lake.artifacts.publish(kind, folder, {"recipe": dict(recipe)})
        self.inputs[kind] = artifact.version
        return artifact

    def prune(self, kind: str, keep: int) -> None:
        """Removes old versions of an artifact that the job makes, but none of a night that readers see or may see.

        Args:
            kind: kind of artifact.
            keep: number of newest versions to keep.
        """
        self._declared(kind, self.job.may_write)
        nights = self.lake.published.to_keep(self.settings.nightly.nights_kept)
        self.lake.artifacts.prune(kind, keep, [version for night in nights for version in night.versions.values()])

    def measure(self, name: str, value: float | None, slice: str = "all") -> None:
        """Records a number for ``metrics``, ``runs`` and the job's closing line; NaN is recorded as null."""
        known = value is not None and not math.isnan(value)
        self.measurements.append(Measurement(name, slice, float(value) if known and value is not None else None))

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Tells a step, see :mod:`lake.progress`; a log of JSON gets its start and, at its end, its duration."""
        start = time.monotonic()
        log.debug("%s: %s", self.job.name, what)
        with doing(what):
            yield
        log.debug("%s: %s: %.1f s", self.job.name, what, time.monotonic() - start)

    @property
    def headline(self) -> dict[str, float]:
        """The measured numbers, without nulls, by ``name`` or ``name/slice``, in the order of these."""
        known = ((m.key, m.value) for m in self.measurements if m.value is not None)
        return dict(sorted(known))

    @property
    def unknown(self) -> frozenset[str]:
        """What was to be measured and is null, by ``name`` or ``name/slice``."""
        return frozenset(m.key for m in self.measurements if m.value is None)
