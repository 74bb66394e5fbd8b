"""The log as the examples' function takes it, and what Spark adds to examples that are made."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.ranking_sections import RankingSettings


def shape_events(interactions: DataFrame, item_rows: DataFrame, ranking: RankingSettings) -> DataFrame:
    """Events that matter for ranking, as the examples' function takes them.

    No array travels with an event: an item is the number of its row in the search index.
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
