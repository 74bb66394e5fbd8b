"""Matches the ids of a log with those of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.intake.items import with_content_hash

UNKNOWN = "unknown_item"
"""Why a row of the log is rejected whose item is not in the catalogue."""

WHOLE = r"^-?\d+(\.0+)?$"

POINT = r"\.0+$"


def matched(events: DataFrame, items: DataFrame, earlier: DataFrame | None) -> tuple[DataFrame, DataFrame]:
    """Rejects events whose item is unknown, and completes the items.

    Where all ids are whole numbers and a program kept some as floats, ``1001.0`` and ``1001`` are one id. Ids such as
    ``1.0`` and ``1.1``, e.g. of versions, stay as they are.

    Args:
        events: results of :func:`jobs.intake.interactions.shape_interactions`.
        items: results of :func:`jobs.intake.items.shape_items`.
        earlier: the table ``items`` as it is; None if there is none yet.

    Returns:
        The events, and the items with their content_hash.
    """
    user, log_item, item = _points((events, "user_id"), (events, "item_id"), (items, "item_id"))
    if user.removable:
        events = events.withColumn("user_id", _without_point("user_id"))
    if _Points(log_item.points + item.points, log_item.others + item.others).removable:
        events, items = (frame.withColumn("item_id", _without_point("item_id")) for frame in (events, items))
    titled = with_content_hash(items)
    ids = titled.where("complaint IS NULL").select("item_id")
    ids = ids.distinct() if earlier is None else ids.union(earlier.select("item_id")).distinct()
    known = events.join(ids.withColumn("_known", F.lit(True)), "item_id", "left")
    unknown = F.when(F.col("complaint").isNull() & F.col("_known").isNull(), F.lit(UNKNOWN))
    return known.withColumn("complaint", F.coalesce("complaint", unknown)).drop("_known"), titled


@dataclass(frozen=True)
class _Points:
    """How many ids have a decimal point before zeros, and how many are no whole numbers."""

    points: int
    others: int

    @property
    def removable(self) -> bool:
        return self.points > 0 and self.others == 0


def _points(*columns: tuple[DataFrame, str]) -> list[_Points]:
    usable = F.col("complaint").isNull()
    counts = [
        frame.agg(
            F.count_if(usable & F.col(name).rlike(POINT)).alias(f"points_{n}"),
            F.count_if(usable & ~F.col(name).rlike(WHOLE)).alias(f"others_{n}"),
        )
        for n, (frame, name) in enumerate(columns)
    ]
    row = reduce(DataFrame.crossJoin, counts).collect()[0]
    return [_Points(row[f"points_{n}"], row[f"others_{n}"]) for n in range(len(columns))]


def _without_point(name: str) -> Column:
    return F.regexp_replace(name, POINT, "")
