"""Users' histories as the miners take them: capped, and items as numbers in the order of their popularity.

Ids are long texts, and mining shuffles them over and over: here a user is the 64-bit hash of its id, an item that of
its own. :func:`item_keys` refuses a catalogue in which two items share one. Two users that do are mined as one user:
among a hundred million users the odds of one such pair are 1 in 3,700.
"""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lake.indexing import with_row_number
from lake.periods import Periods
from schemas.errors import QarmError
from schemas.ranking_sections import RankingSettings
from schemas.sections import MineSettings

BROADCAST_BYTES = 128 * 2**20
"""What is known of the items is broadcast up to here, through the driver; beyond, it is joined by a shuffle."""

CODE_BYTES = 100
"""A row of item codes in Spark's memory, about."""


def positives_of(interactions: DataFrame, periods: Periods, mine: MineSettings, ranking: RankingSettings) -> DataFrame:
    """Positive events that pairs are fitted on, of their last ``mine.window_days`` where that is set.

    Returns:
        user LONG, item_key LONG, time LONG (microseconds since 1970).
    """
    wanted = periods.in_fit & F.col("action").isin(ranking.positive_actions)
    if mine.window_days:
        since = periods.fit_until - timedelta(days=mine.window_days)
        wanted &= F.col("event_date") >= F.lit(since)
    return interactions.where(wanted).select(
        F.xxhash64("user_id").alias("user"),
        F.xxhash64("item_id").alias("item_key"),
        F.unix_micros("event_time").alias("time"),
    )


def item_keys(items: DataFrame) -> DataFrame:
    """The catalogue with ``item_key``, the hash that stands for an item.

    Raises:
        QarmError: two items have the same.
    """
    keyed = items.withColumn("item_key", F.xxhash64("item_id"))
    if not keyed.groupBy("item_key").count().where("count > 1").isEmpty():
        raise QarmError("table items: two item_id have the same 64-bit hash (xxhash64); rename one of them")
    return keyed


def capped_histories(positives: DataFrame, mine: MineSettings) -> DataFrame:
    """Every user's distinct items: the latest ``max_user_items``, users with fewer than ``min_user_items`` left out.

    Ties in time are broken by the items' keys. One shuffle, by user. Executor memory: Spark's, which spills, and one
    user's distinct items at a time, 32 bytes each, before they are cut.

    Returns:
        user LONG; items ARRAY<LONG>, their keys; with a half-life also times ARRAY<LONG>, of the last event on each;
        partitioned by user.
    """
    latest = positives.repartition("user").groupBy("user", "item_key").agg(F.max("time").alias("time"))
    event = F.struct((-F.col("time")).alias("age"), "item_key")
    held = latest.groupBy("user").agg(F.collect_list(event).alias("held"))
    newest = F.slice(F.sort_array("held"), 1, mine.max_user_items)
    columns = [F.col("held.item_key").alias("items")]
    if mine.half_life_days:
        columns.append(F.transform("held.age", lambda age: -age).alias("times"))
    return (
        held.where(F.size("held") >= mine.min_user_items)
        .withColumn("held", F.when(F.size("held") > mine.max_user_items, newest).otherwise(F.col("held")))
        .select("user", *columns)
    )


def item_codes(histories: DataFrame, keyed_items: DataFrame) -> DataFrame:
    """Numbers the items of the histories, the most popular first, so that dealing them out by number is fair.

    Args:
        histories: see :func:`capped_histories`.
        keyed_items: see :func:`item_keys`.

    Returns:
        item_key, item_id, popularity INT (users that hold it), item INT, content INT (equal where the content hashes
        are).
    """
    held = histories.select(F.explode("items").alias("item_key"))
    popularity = held.groupBy("item_key").agg(F.count("*").cast("int").alias("popularity"))
    known = popularity.join(keyed_items.select("item_key", "item_id", "content_hash"), "item_key", "inner")
    numbered = with_row_number(known, "item", F.desc("popularity"), "item_id").withColumn(
        "item", F.col("item").cast("int")
    )
    content = F.min("item").over(Window.partitionBy("content_hash"))
    return numbered.withColumn("content", content).drop("content_hash")


def sample_limits(histories: DataFrame, codes: DataFrame, code_count: int, max_item_users: int) -> DataFrame:
    """The sample of users that a hot item is scored on: those whose hash with the item is at most ``sample_limit``.

    They are the ``max_item_users`` with the smallest hashes. Only rows of hot items that can be among them are
    ranked: a hash below the cap's share of the item's users, and six standard errors more.

    Returns:
        item_key, sample_limit LONG, for items that more than ``max_item_users`` users hold.
    """
    hot = codes.where(F.col("popularity") > max_item_users).select("item_key", "popularity")
    enough = max_item_users + 6 * max_item_users**0.5
    place_in_range = F.col("hash") / F.lit(2.0**64) + 0.5
    nearest = Window.partitionBy("item_key").orderBy("hash")
    return (
        histories.select("user", F.explode("items").alias("item_key"))
        .join(small_side(hot, code_count), "item_key", "inner")
        .withColumn("hash", sampling_hash())
        .where(place_in_range * F.col("popularity") < enough)
        .withColumn("place", F.row_number().over(nearest))
        .where(F.col("place") <= max_item_users)
        .groupBy("item_key")
        .agg(F.max("hash").alias("sample_limit"))
    )


def sampling_hash() -> Column:
    """The hash that samples a hot item's users."""
    return F.xxhash64("user", "item_key")


def fits_broadcast(rows: int, row_bytes: int = CODE_BYTES) -> bool:
    """Whether so many rows are broadcast."""
    return rows * row_bytes <= BROADCAST_BYTES


def small_side(frame: DataFrame, rows: int, row_bytes: int = CODE_BYTES) -> DataFrame:
    """Marks one side of a join for broadcast where it is small enough."""
    return F.broadcast(frame) if fits_broadcast(rows, row_bytes) else frame
