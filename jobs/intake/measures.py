"""Counts what is taken, folded and rejected of the two inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.intake.matching import UNKNOWN

MOST_ACTIONS = 50
"""Actions that are counted by name."""

Counts = Mapping[str | None, int]
"""Rows by the reason for their rejection; None for those that are accepted."""

Measure = Callable[..., None]
"""Takes the name of a number, its value and, unless it is of all rows, the slice that it was measured on."""


def measure_rows(measure: Measure, counts: Counts, item_counts: Counts) -> None:
    """Tells how many rows were accepted, and how many rejected for which reason.

    Args:
        measure: takes the numbers.
        counts: rows of the log.
        item_counts: rows of the catalogue.
    """
    measure("ingest.items", item_counts.get(None, 0))
    for source, reasons in (("interactions", counts), ("items", item_counts)):
        measure("ingest.rows", sum(reasons.values()), source)
        for reason, count in reasons.items():
            if reason is not None:
                measure(f"ingest.rejected.{reason}", count, source)


def measure_interactions(measure: Measure, interactions: DataFrame, folded: DataFrame, counts: Counts) -> None:
    """Counts events by action, and items of the log without a row in the catalogue.

    Args:
        measure: takes the numbers.
        interactions: rows of the log with their ``complaint``.
        folded: one row per key of those that are accepted.
        counts: rows of the log by reason.
    """
    # One pass over the events; what follows reads a row per item and action.
    by_item = folded.groupBy("action", "item_id").agg(F.count("*").alias("events")).persist()
    taken, known = by_item.agg(F.sum("events"), F.count_distinct("item_id")).collect()[0]
    taken = taken or 0  # a later night may bring none
    measure("ingest.interactions", taken)
    measure("ingest.duplicates_folded", counts.get(None, 0) - taken)
    by_action = by_item.groupBy("action").agg(F.sum("events").alias("events")).orderBy(F.desc("events"), "action")
    for action, count in by_action.limit(MOST_ACTIONS).collect():
        measure("ingest.events_by_action", count, action)
    by_item.unpersist()
    unknown = 0
    if UNKNOWN in counts:
        strangers = interactions.where(F.col("complaint") == UNKNOWN).select("item_id").distinct()
        unknown = strangers.count()
    measure("ingest.items_of_log", known + unknown)
    measure("ingest.items_not_in_catalogue", unknown)
