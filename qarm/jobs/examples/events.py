"""The log as the examples' function takes it, and what Spark adds to examples that are made."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from qarm.schemas.ranking_sections import RankingSettings

RECENT_DAYS = 28
POPULARITY = ("item_events", "item_recent_events", "sid_events", "sid_recent_events")
"""Columns of :func:`with_popularity_before`."""
CODES = ("sid_1", "sid_2", "sid_3")


def shape_events(interactions: DataFrame, item_rows: DataFrame, ranking: RankingSettings) -> DataFrame:
    """Events that matter for ranking, as the examples' function takes them.

    No array travels with an event: an item is the number of its row in the catalogue.
    """
    labels = [
        F.when(F.col("action").isin(actions), F.lit(1 << bit)).otherwise(F.lit(0))
        for bit, actions in enumerate(ranking.tasks.values())
    ]
    either: Column = reduce(lambda a, b: a.bitwiseOR(b), labels)
    return (
        interactions.where(F.col("action").isin([*ranking.positive_actions, ranking.impression]))
        .join(item_rows.select("item_id", "item_row"), "item_id", "inner")
        .select(
            "user_id",
            "item_row",
            F.unix_micros("event_time").alias("time"),
            either.cast("long").alias("labels"),
            (F.col("action") == ranking.impression).alias("impression"),
            F.xxhash64("user_id", "item_id", "event_time").alias("key"),
        )
    )


def in_parts(events: DataFrame, most: int) -> DataFrame:
    """Deals the work on a heavy user to several parts, each with all of the user's events and a share of the targets.

    Args:
        events: of :func:`shape_events`.
        most: events of a user that is not split.

    Returns:
        The events with ``part`` and ``parts``.
    """
    size = events.groupBy("user_id").agg(F.count("*").alias("size"))
    heavy = size.where(F.col("size") > most).select("user_id", F.ceil(F.col("size") / most).cast("int").alias("parts"))
    if heavy.isEmpty():  # as in most logs: no join then
        return events.withColumns({"part": F.lit(0), "parts": F.lit(1)})
    parts = F.coalesce("parts", F.lit(1))
    return events.join(heavy, "user_id", "left").select(
        *events.columns, F.explode(F.sequence(F.lit(0), parts - 1)).alias("part"), parts.alias("parts")
    )


def name_examples(examples: DataFrame, item_rows: DataFrame, columns: list[str]) -> DataFrame:
    """Gives examples the item's id and an id of their own."""
    example_id = F.concat_ws("-", F.lower(F.hex("key")), F.lower(F.hex("item_row")), F.md5("user_id"))
    return (
        examples.join(item_rows.select("item_id", "item_row"), "item_row", "inner")
        .withColumn("example_id", F.substring(F.sha2(example_id, 256), 1, 32))
        .select(*columns)
    )


def with_popularity_before(examples: DataFrame, positives: DataFrame, item_rows: DataFrame) -> DataFrame:
    """Adds :data:`POPULARITY`: positive events on the item, and on all items of its SID, on days before the example's.

    Args:
        examples: item_id, event_time and the target's codes; persisted, for it is read several times.
        positives: item_id, event_date.
        item_rows: of :func:`qarm.jobs.examples.catalogue.item_rows`.
    """
    codes = [(F.coalesce(code, F.lit(-1)) + 1).alias(code) for code in CODES]  # as in the examples, 0 = none
    daily = positives.groupBy("item_id", F.col("event_date").alias("day")).agg(F.count("*").alias("events"))
    of_sid = daily.join(item_rows.select("item_id", *codes), "item_id", "inner")
    dated = examples.withColumn("day", F.to_date("event_time"))
    by_item = _before(dated, daily, ["item_id"], "item_")
    return _before(by_item, of_sid, list(CODES), "sid_").drop("day")


def _before(examples: DataFrame, daily: DataFrame, key: list[str], prefix: str) -> DataFrame:
    """Adds ``<prefix>events`` and ``<prefix>recent_events`` by a key."""
    asked = examples.select(*key, "day", F.lit(0).alias("events")).distinct()
    days = daily.select(*key, "day", "events").unionByName(asked)
    days = days.groupBy(*key, "day").agg(F.sum("events").alias("events"))
    of_key = Window.partitionBy(*key).orderBy(F.unix_date("day"))
    sums = {
        f"{prefix}events": F.sum("events").over(of_key.rangeBetween(Window.unboundedPreceding, -1)),
        f"{prefix}recent_events": F.sum("events").over(of_key.rangeBetween(-RECENT_DAYS, -1)),
    }
    before = days.select(*key, "day", *(F.coalesce(s, F.lit(0)).cast("int").alias(n) for n, s in sums.items()))
    return examples.join(before, [*key, "day"], "inner")
