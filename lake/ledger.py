"""The record of runs: tables ``runs`` and ``metrics``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.sql import Window
from pyspark.sql import functions as F

from lake.frames import frame_of
from lake.warehouse import Warehouse
from schemas.tables import METRICS, RUNS


@dataclass(frozen=True)
class RunRecord:
    """One row of ``runs``."""

    run_id: str
    job: str
    status: str
    started_at: datetime
    ended_at: datetime
    input_versions: Mapping[str, str]
    output_versions: Mapping[str, str]
    settings_hash: str
    code_version: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def seconds(self) -> float:
        """Duration of the run."""
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class Measurement:
    """One row of ``metrics``, without the id of the run."""

    name: str
    slice: str
    value: float | None

    @property
    def key(self) -> str:
        """``name``, or ``name/slice`` of a part."""
        return self.name if self.slice == "all" else f"{self.name}/{self.slice}"


class Ledger:
    """Reads and writes ``runs`` and ``metrics``."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._known: tuple[int, dict[str, RunRecord]] | None = None

    def record(self, run: RunRecord, measurements: list[Measurement]) -> None:
        """Appends a run and its measurements."""
        spark = self._warehouse.spark
        if measurements:
            rows = [(run.run_id, m.name, m.slice, m.value, run.ended_at) for m in measurements]
            self._warehouse.append(METRICS, frame_of(spark, rows, METRICS.schema).coalesce(1))
        row = tuple(getattr(run, f.name) for f in dataclasses.fields(run))
        self._warehouse.append(RUNS, frame_of(spark, [row], RUNS.schema).coalesce(1))
        self._remember(run)

    def _remember(self, run: RunRecord) -> None:
        """Adds a run to what is known of the table, if its row alone came since."""
        version = self._warehouse.version(RUNS.name)
        if self._known is None or version is None or version != self._known[0] + 1:
            self._known = None
        else:
            done = {run.job: run} if run.status == "done" else {}
            self._known = version, self._known[1] | done

    def last_output(self, job: str, used: str, version: str, table: str) -> int | None:
        """The version of a table that a job last wrote while it used a given version of an input.

        Args:
            job: name of the job.
            used: name of the input.
            version: version of the input.
            table: table that the job wrote.

        Returns:
            The version of the table; None if the job never succeeded with this input.
        """
        if not self._warehouse.exists(RUNS.name):
            return None
        with_it = (F.col("job") == job) & (F.col("status") == "done") & (F.col("input_versions")[used] == version)
        newest = F.max_by(F.col("output_versions")[table], "ended_at")
        found = self._warehouse.read(RUNS.name).where(with_it).agg(newest).collect()[0][0]
        return None if found is None else int(found)

    def metrics_of(self, job: str, run_id: str) -> dict[str, float]:
        """What a run of a job measured, by ``name`` or ``name/slice``; empty if there is no such run."""
        if not self._warehouse.exists(RUNS.name):
            return {}
        wanted = (F.col("job") == job) & (F.col("run_id") == run_id) & (F.col("status") == "done")
        rows = self._warehouse.read(RUNS.name).where(wanted).select("metrics").collect()
        return dict(rows[0]["metrics"]) if rows else {}

    def newest_metrics(self, job: str, having: Mapping[str, float]) -> dict[str, float]:
        """What the newest successful run of a job measured that also measured given numbers; empty if there is none."""
        if not self._warehouse.exists(RUNS.name):
            return {}
        runs = self._warehouse.read(RUNS.name).where((F.col("job") == job) & (F.col("status") == "done"))
        for name, value in having.items():
            runs = runs.where(F.col("metrics")[name] == value)
        found = runs.agg(F.max_by("metrics", "ended_at")).collect()[0][0]
        return dict(found or {})

    def last_metrics(self) -> dict[str, float]:
        """What the jobs' newest successful runs measured, by ``name`` or ``name/slice``."""
        return {name: value for run in self.last_done().values() for name, value in run.metrics.items()}

    def usual_seconds(self, *, longest: bool = False) -> dict[str, float]:
        """The median duration of each job's last successful runs, at most five, by name of the job.

        Args:
            longest: the longest duration of all runs instead, as of one that went on from nothing.
        """
        if not self._warehouse.exists(RUNS.name):
            return {}
        runs = self._warehouse.read(RUNS.name).where("status = 'done'")
        took = F.col("ended_at").cast("double") - F.col("started_at").cast("double")
        if longest:
            rows = runs.groupBy("job").agg(F.max(took)).collect()
        else:
            newest = F.row_number().over(Window.partitionBy("job").orderBy(F.col("ended_at").desc()))
            rows = runs.withColumn("age", newest).where("age <= 5").groupBy("job").agg(F.median(took)).collect()
        return {row[0]: float(row[1]) for row in rows}

    def last_done(self) -> dict[str, RunRecord]:
        """Each job's newest successful run, by name of the job. Driver memory: one row per job.

        Every job of a night asks, so the answer is kept for the table's version, with the runs that are recorded here.
        """
        version = self._warehouse.version(RUNS.name)
        if version is None:
            return {}
        if self._known is None or self._known[0] != version:
            self._known = version, self._newest_done()
        return dict(self._known[1])

    def _newest_done(self) -> dict[str, RunRecord]:
        newest = (
            self._warehouse.read(RUNS.name)
            .where("status = 'done'")
            .groupBy("job")
            .agg(F.max_by(F.struct(*RUNS.names), "ended_at").alias("run"))
            .select("run.*")
        )
        names = [f.name for f in dataclasses.fields(RunRecord)]
        return {row["job"]: RunRecord(**{name: row[name] for name in names}) for row in newest.collect()}
