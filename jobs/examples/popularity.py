"""Popularity of each example's target on the days before the example, counted once per item and day."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from schemas.feature import CountBefore
from schemas.features import COUNTED
from schemas.names import SID_COLUMNS


def with_popularity_before(examples: DataFrame, positives: DataFrame, item_rows: DataFrame) -> DataFrame:
    """Adds :data:`schemas.features.COUNTED`, counts over the days before the example's day.

    They are: positive events on the item and on all items with its semantic ID; users who took the item, counted on
    the day of their first event; days since the item's first and last event, 0 if there is none. Events include items
    that a user takes again and again; users who took the item do not.

    Args:
        examples: item_id, event_time and the target's codes, 0 for none; persisted, as it is read twice.
        positives: user_id, item_id, event_date.
        item_rows: result of :func:`jobs.examples.search_index.item_rows`.
    """
    codes = [(F.coalesce(code, F.lit(-1)) + 1).alias(code) for code in SID_COLUMNS]  # 0 = none, as in the examples
    daily = daily_counts(positives).persist()  # a row per item and day; it is read twice
    of_sid = daily.join(item_rows.select("item_id", *codes), "item_id", "inner")
    dated = examples.withColumn("day", F.to_date("event_time"))
    asked = dated.select("item_id", *SID_COLUMNS, "day").distinct()
    of_days = _before(_before(asked, daily, ["item_id"], _counts("item")), of_sid, list(SID_COLUMNS), _counts("sid"))
    return dated.join(of_days.drop(*SID_COLUMNS), ["item_id", "day"], "inner").drop("day")


def daily_counts(positives: DataFrame) -> DataFrame:
    """Number of positive events on every item and day, and of users who took the item for the first time.

    Args:
        positives: user_id, item_id, event_date.

    Returns:
        item_id, day, events, takers.
    """
    firsts = positives.groupBy("user_id", "item_id").agg(F.min("event_date").alias("day"))
    takers = firsts.groupBy("item_id", "day").agg(F.count("*").alias("takers"))
    events = positives.groupBy("item_id", F.col("event_date").alias("day")).agg(F.count("*").alias("events"))
    return events.join(takers, ["item_id", "day"], "left").fillna(0, ["takers"])


def _counts(key: str) -> dict[str, CountBefore]:
    return {name: count for name, count in COUNTED.items() if count.key == key}


def _before(asked: DataFrame, daily: DataFrame, key: list[str], counts: Mapping[str, CountBefore]) -> DataFrame:
    """Adds counts by a key over the days before each day."""
    summed = sorted({"takers" if count.what == "takers" else "events" for count in counts.values()})
    none = (F.lit(0).alias(what) for what in summed)
    days = daily.select(*key, "day", *summed).unionByName(asked.select(*key, "day", *none).distinct())
    days = days.groupBy(*key, "day").agg(*(F.sum(what).alias(what) for what in summed))
    of_key = Window.partitionBy(*key).orderBy(F.unix_date("day"))
    columns = (F.coalesce(_count(count, of_key), F.lit(0)).cast("int").alias(name) for name, count in counts.items())
    return asked.join(days.select(*key, "day", *columns), [*key, "day"], "inner")


def _count(count: CountBefore, of_key: WindowSpec) -> Column:
    """The column of one count; null if there are no earlier days."""
    earlier = of_key.rangeBetween(Window.unboundedPreceding if count.days is None else -count.days, -1)
    if count.what in ("events", "takers"):
        return F.sum(count.what).over(earlier)
    taken = F.when(F.col("events") > 0, F.col("day"))
    return F.date_diff("day", (F.min(taken) if count.what == "age" else F.max(taken)).over(earlier))
