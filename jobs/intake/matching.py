"""Matches the ids of a log with those of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.intake.items import with_content_hash

UNKNOWN = "unknown_item"
"""Why a row of the log is rejected whose item is not in the catalogue."""

WHOLE = r"^-?\d+(\.0+)?$"

POINT = r"\.0+$"


def ids_with_points(events: DataFrame, items: DataFrame) -> frozenset[str]:
    """The columns of ids in which a program kept whole numbers as floats, so that ``1001.0`` and ``1001`` are one id.

    That is so where all ids are whole numbers and one of them has a point. Ids such as ``1.0`` and ``1.1``, e.g. of
    versions, stay as they are.

    Args:
        events: results of :func:`jobs.intake.interactions.shape_interactions`.
        items: results of :func:`jobs.intake.items.shape_items`.

    Returns:
        Names out of user_id and item_id.
    """
    of_log, of_items = _with_points(events, ("user_id", "item_id")), _with_points(items, ("item_id",))
    found = []
    if "user_id" in of_log and _all_whole(events, "user_id"):
        found.append("user_id")
    if "item_id" in of_log | of_items and _all_whole(events, "item_id") and _all_whole(items, "item_id"):
        found.append("item_id")
    return frozenset(found)


def matched(
    events: DataFrame, items: DataFrame, earlier: DataFrame | None, points: frozenset[str]
) -> tuple[DataFrame, DataFrame]:
    """Rejects events whose item is unknown, and completes the items.

    Args:
        events: results of :func:`jobs.intake.interactions.shape_interactions`.
        items: results of :func:`jobs.intake.items.shape_items`.
        earlier: the table ``items`` as it is; None if there is none yet.
        points: the result of :func:`ids_with_points`.

    Returns:
        The events, and the items with their content_hash.
    """
    for name in points:
        events = events.withColumn(name, _without_point(name))
        items = items.withColumn(name, _without_point(name)) if name in items.columns else items
    titled = with_content_hash(items)
    ids = titled.where("complaint IS NULL").select("item_id")
    ids = ids.distinct() if earlier is None else ids.union(earlier.select("item_id")).distinct()
    known = events.join(ids.withColumn("_known", F.lit(True)), "item_id", "left")
    unknown = F.when(F.col("complaint").isNull() & F.col("_known").isNull(), F.lit(UNKNOWN))
    return known.withColumn("complaint", F.coalesce("complaint", unknown)).drop("_known"), titled


def _with_points(frame: DataFrame, names: Sequence[str]) -> set[str]:
    """The columns in which an id ends with a point and zeros."""
    has_point = (F.count_if(F.contains(name, F.lit(".0")) & F.col(name).rlike(POINT)).alias(name) for name in names)
    row = frame.where("complaint IS NULL").agg(*has_point).collect()[0]
    return {name for name in names if row[name]}


def _all_whole(frame: DataFrame, name: str) -> bool:
    return frame.where(F.col("complaint").isNull() & ~F.col(name).rlike(WHOLE)).isEmpty()


def _without_point(name: str) -> Column:
    return F.regexp_replace(name, POINT, "")
