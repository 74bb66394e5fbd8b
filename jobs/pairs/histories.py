"""Users' histories for the miners: capped, with items as numbers in the order of their popularity.

Mining shuffles ids many times, and ids are long texts, so users and items are replaced by 64-bit hashes of their ids.
:func:`item_keys` refuses two items with the same hash. Two users with the same hash are mined as one user; among a
hundred million users, the probability of one such pair is 1 in 3,700.
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
"""Tables of items up to this size are broadcast, through the driver; larger ones are joined by a shuffle."""

CODE_BYTES = 100
"""Approximate size of a row of item codes in Spark's memory."""


def positives_of(interactions: DataFrame, periods: Periods, mine: MineSettings, ranking: RankingSettings) -> DataFrame:
    """Positive events of the fit period, or of its last ``mine.window_days`` days if that is set.

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
    """Adds ``item_key``, the hash of item_id, to the table ``items``.

    Raises:
        QarmError: two items have the same hash.
    """
    keyed = items.withColumn("item_key", F.xxhash64("item_id"))
    if not keyed.groupBy("item_key").count().where("count > 1").isEmpty():
        raise QarmError("table items: two item_id have the same 64-bit hash (xxhash64); rename one of them")
    return keyed


def capped_histories(positives: DataFrame, mine: MineSettings) -> DataFrame:
    """Each user's latest ``max_user_items`` distinct items; users with fewer than ``min_user_items`` are left out.

    The items' keys break ties in time. There is one shuffle, by user. Executor memory: that of Spark's aggregations,
    which spill, and all distinct items of one user, 32 bytes each.

    Returns:
        user LONG; items ARRAY<LONG>, keys of the items; times ARRAY<LONG>, time of the last event on each item, only
        with a half-life. Partitioned by user.
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
    """Numbers the items of the histories, the most popular first, so that a split by number is balanced.

    Args:
        histories: result of :func:`capped_histories`.
        keyed_items: result of :func:`item_keys`.

    Returns:
        item_key, item_id, popularity INT (number of users with the item), item INT (number of the item), content INT
        (number of the content).
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
    """The sample of users on which a popular item is scored: the ``max_item_users`` users with the smallest hashes.

    The hash is that of user and item. Only users whose hash can be small enough are sorted: those below the share of
    ``max_item_users`` among the item's users plus six standard errors.

    Returns:
        item_key, sample_limit LONG (largest hash in the sample), for items with more than ``max_item_users`` users.
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
    """The hash of user and item by which users of popular items are sampled."""
    return F.xxhash64("user", "item_key")


def fits_broadcast(rows: int, row_bytes: int = CODE_BYTES) -> bool:
    """Whether a table with this number of rows is broadcast."""
    return rows * row_bytes <= BROADCAST_BYTES


def small_side(frame: DataFrame, rows: int, row_bytes: int = CODE_BYTES) -> DataFrame:
    """Marks one side of a join for broadcast if it is small enough."""
    return F.broadcast(frame) if fits_broadcast(rows, row_bytes) else frame
