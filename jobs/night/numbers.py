"""Measures what the gate compares: rows and nulls of tables, moved semantic IDs, collisions, and AUC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyspark.sql import functions as F

from jobs.night.gate import AUC, AUC_HIGH, AUC_LOW, COLLISIONS, MOVED, NULLS, ROWS
from lake.ledger import Ledger
from lake.published import Night
from lake.run import Run
from schemas.contract import Contract
from schemas.tables import SEMANTIC_IDS

JUDGED = "night.held_back"
"""1 if the gate held the night back, else 0."""


def numbers_of(night: Night, ledger: Ledger, job: str) -> dict[str, float]:
    """The numbers that a published night was judged by.

    A run that was cut off after it published its night left none; then they are those of the newest run that passed.

    Args:
        night: the night.
        ledger: the record of runs.
        job: name of the job that measures them.
    """
    return ledger.metrics_of(job, night.run_id) or ledger.newest_metrics(job, {JUDGED: 0.0})


def measure_tables(run: Run, contracts: Iterable[Contract]) -> None:
    """Counts the rows of tables, and the share of nulls in every column that may hold some. One scan a table.

    Args:
        run: the run.
        contracts: contracts of the tables; a table that does not exist is left out.
    """
    for contract in contracts:
        rows = run.find(contract.name)
        if rows is None:
            continue
        may_be_null = [c.name for c in contract.columns if c.nullable and c.name in rows.columns]
        counts = rows.agg(F.count("*").alias("rows"), *(F.count(name).alias(name) for name in may_be_null)).collect()[0]
        run.measure(ROWS, counts["rows"], contract.name)
        for name in may_be_null if counts["rows"] else ():
            run.measure(NULLS, 1 - counts[name] / counts["rows"], f"{contract.name}.{name}")


def measure_moved(run: Run, published: int) -> None:
    """Measures the share of the items of both nights whose semantic ID differs.

    Args:
        run: the run.
        published: version of ``semantic_ids`` in the published night.
    """
    before = run.read_earlier(SEMANTIC_IDS.name, published).select("item_id", F.col("sid").alias("before"))
    both = run.read(SEMANTIC_IDS.name).select("item_id", "sid").join(before, "item_id")
    run.measure(MOVED, both.agg(F.avg((F.col("sid") != F.col("before")).cast("double"))).collect()[0][0])


def measure_quality(run: Run, found: Mapping[str, float], tasks: Iterable[str]) -> None:
    """Records the collision rate and the AUC of the jobs that measured them last.

    Args:
        run: the run.
        found: what the jobs' last successful runs measured, by ``name/slice``.
        tasks: names of the tasks.
    """
    run.measure(COLLISIONS, found.get("codes.collision_rate/distinct_contents"))
    for task in tasks:
        for name, metric in ((AUC, "auc"), (AUC_LOW, "auc_low"), (AUC_HIGH, "auc_high")):
            run.measure(name, found.get(f"{task}.{metric}/test"), task)
