"""Prepares the events for the function that makes examples, and adds ids to its result."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.ranking_sections import RankingSettings


def shape_events(interactions: DataFrame, item_rows: DataFrame, ranking: RankingSettings) -> DataFrame:
    """Impressions and positive events, in the columns of the function that makes examples.

    An event holds no array: its item is the number of the item's row in the search index.

    Args:
        interactions: the log, with ``new`` (whether an event came since the last night) unless all events are new.
        item_rows: item_id, item_row.
        ranking: impression and positive actions.

    Returns:
        user_id, item_row, time (microseconds since 1970), labels (one bit per task), impression, key, new.
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
            F.col("new") if "new" in interactions.columns else F.lit(True).alias("new"),
        )
    )


def in_parts(events: DataFrame, most: int) -> DataFrame:
    """Splits the work on users with many events into parts; each part gets all events and makes a share of the targets.

    Args:
        events: result of :func:`shape_events`.
        most: most events of a user with one part.

    Returns:
        The events with ``part`` (number of the part) and ``parts`` (number of parts).
    """
    size = events.groupBy("user_id").agg(F.count("*").alias("size"))
    heavy = size.where(F.col("size") > most).select("user_id", F.ceil(F.col("size") / most).cast("int").alias("parts"))
    if heavy.isEmpty():  # most logs need no join
        return events.withColumns({"part": F.lit(0), "parts": F.lit(1)})
    parts = F.coalesce("parts", F.lit(1))
    return events.join(heavy, "user_id", "left").select(
        *events.columns, F.explode(F.sequence(F.lit(0), parts - 1)).alias("part"), parts.alias("parts")
    )


def name_examples(examples: DataFrame, item_rows: DataFrame, columns: list[str]) -> DataFrame:
    """Adds item_id and example_id to examples, and selects columns."""
    example_id = F.concat_ws("-", F.lower(F.hex("key")), F.lower(F.hex("item_row")), F.md5("user_id"))
    return (
        examples.join(item_rows.select("item_id", "item_row"), "item_row", "inner")
        .withColumn("example_id", F.substring(F.sha2(example_id, 256), 1, 32))
        .select(*columns)
    )
