"""Leaves out candidates that a user must not see."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.retrieval_sections import RecommendSettings

DAY_MICROS = 86_400_000_000


def unavailable(items: DataFrame, settings: RecommendSettings) -> DataFrame | None:
    """Ids of the items that an attribute marks as unavailable; None if no attribute does so by the settings.

    Args:
        items: table ``items``.
        settings: attributes and their values.
    """
    if not settings.unavailable:
        return None
    marks = (F.col("attributes")[name].isin(values) for name, values in settings.unavailable.items())
    either: Column = reduce(lambda a, b: a | b, (F.coalesce(mark, F.lit(False)) for mark in marks))
    return items.where(either).select("item_id")


def without_filtered(
    candidates: DataFrame, positives: DataFrame, items: DataFrame, settings: RecommendSettings
) -> DataFrame:
    """Candidates that may be shown.

    Args:
        candidates: user_id, item_id, as_of.
        positives: positive events of the log.
        items: table ``items``.
        settings: the filters.
    """
    moment = candidates.select("as_of").limit(1)
    gone = unavailable(items, settings)
    if gone is not None:
        candidates = candidates.join(gone, "item_id", "left_anti")
    dated = positives.crossJoin(F.broadcast(moment)).where("event_time < as_of")
    age = (F.unix_micros("as_of") - F.unix_micros("event_time")) / F.lit(float(DAY_MICROS))
    if settings.sold_days:
        sold = dated.where(age <= settings.sold_days).select("item_id").distinct()
        candidates = candidates.join(sold, "item_id", "left_semi")
    if settings.not_taken_days:
        taken = dated.where(age <= settings.not_taken_days).select("user_id", "item_id").distinct()
        candidates = candidates.join(taken, ["user_id", "item_id"], "left_anti")
    return candidates
