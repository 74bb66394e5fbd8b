"""Why an item is in a user's list, in words."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from models.retriever.source import Source
from schemas.tables.lists import FUSED

OWN_DAYS = 2
"""Days on which a user took an item before the item counts as the user's own."""


def own_takings(positives: DataFrame, listed: DataFrame) -> DataFrame:
    """On how many days each user took each listed item, and how long ago last.

    Args:
        positives: positive events of the log.
        listed: user_id, item_id, as_of.

    Returns:
        user_id, item_id, days LONG, days_ago INT; only where there is such a day.
    """
    own = positives.select("user_id", "item_id", "event_time").join(listed, ["user_id", "item_id"], "inner")
    return (
        own.where("event_time < as_of")
        .groupBy("user_id", "item_id")
        .agg(
            F.countDistinct(F.to_date("event_time")).alias("days"),
            F.min(F.datediff("as_of", "event_time")).alias("days_ago"),
        )
    )


def best_sources(retrieved: DataFrame, listed: DataFrame) -> DataFrame:
    """The source that ranks each listed item highest.

    Args:
        retrieved: rows of ``retrieved_items``.
        listed: user_id, item_id.

    Returns:
        user_id, item_id, source.
    """
    first = Window.partitionBy("user_id", "item_id").orderBy("rank", "source")
    return (
        retrieved.where(F.col("source") != FUSED)
        .join(listed.select("user_id", "item_id"), ["user_id", "item_id"], "inner")
        .withColumn("_place", F.row_number().over(first))
        .where("_place = 1")
        .select("user_id", "item_id", "source")
    )


def triggers_of(positives: DataFrame, pairs: DataFrame, items: DataFrame, listed: DataFrame) -> DataFrame:
    """The user's own item that each listed item goes with best, by mined pairs.

    Args:
        positives: positive events of the log.
        pairs: table ``item_pairs``.
        items: table ``items``.
        listed: user_id, item_id, as_of.

    Returns:
        user_id, item_id, trigger_title; only where there is a pair that no judge rejected.
    """
    kept = pairs.where("source = 'item2item' AND (verdict IS NULL OR verdict = 'keep')").select(
        "trigger_item_id", F.col("target_item_id").alias("item_id"), F.col("score").alias("_score")
    )
    wanted = listed.select("user_id", "item_id", "as_of").join(kept, "item_id", "inner")
    own = positives.select("user_id", F.col("item_id").alias("trigger_item_id"), "event_time")
    found = (
        wanted.join(own, ["user_id", "trigger_item_id"], "inner")
        .where("event_time < as_of")
        .groupBy("user_id", "item_id")
        .agg(F.max_by("trigger_item_id", F.struct("_score", "event_time", "trigger_item_id")).alias("trigger_item_id"))
    )
    titles = items.select(F.col("item_id").alias("trigger_item_id"), F.col("title").alias("trigger_title"))
    return found.join(titles, "trigger_item_id", "inner").select("user_id", "item_id", "trigger_title")


def reason(sources: Mapping[str, type[Source]], *, with_triggers: bool) -> Column:
    """The reason, from the columns of :func:`own_takings`, :func:`best_sources` and :func:`triggers_of`.

    Args:
        sources: the sources by name, with their reasons.
        with_triggers: whether there is a column ``trigger_title``.
    """
    when = F.when(F.col("days_ago") == 0, F.lit("today")).otherwise(
        F.concat(F.col("days_ago").cast("string"), F.when(F.col("days_ago") == 1, " day ago").otherwise(" days ago"))
    )
    often = F.concat(F.lit("you took it on "), F.col("days").cast("string"), F.lit(" days, the last time "), when)
    once = F.concat(F.lit("you took it "), when)
    chosen = F.when(F.col("days") >= OWN_DAYS, often).when(F.col("days") == 1, once)
    if with_triggers:
        chosen = chosen.when(
            F.col("trigger_title").isNotNull(),
            F.concat(F.lit("it goes with "), "trigger_title", F.lit(", which you took")),
        )
    for name, source in sources.items():
        chosen = chosen.when(F.col("source") == name, F.lit(source.reason))
    return chosen.otherwise(F.lit("several sources together put it forward"))
