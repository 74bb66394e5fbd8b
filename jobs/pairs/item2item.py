"""Item-to-item pairs by Swing. Trigger items are split into buckets, each of which fits one task."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.pairs.histories import sample_limits, sampling_hash, small_side
from lake.periods import Periods
from models.pairs.swing import SwingParameters
from schemas.errors import UserError
from schemas.parameters import take
from schemas.sections import MineSettings
from udfs.swing import SWING_SCHEMA, swing_bucket

MOST_BUCKETS = 2**16
WORTH_A_TASK = 50_000
"""With fewer item occurrences, a further task costs more time than it saves."""


def user_rows(histories: DataFrame, codes: DataFrame, code_count: int, mine: MineSettings, *, until: date) -> DataFrame:
    """One row per user: the user's items as numbers, with what the kernel needs of each.

    Args:
        histories: result of :func:`jobs.pairs.histories.capped_histories`.
        codes: result of :func:`jobs.pairs.histories.item_codes`.
        code_count: number of rows of ``codes``.
        mine: the ``[mine]`` section.
        until: end of the fit period, from which ages are counted.

    Returns:
        user LONG; items ARRAY<INT>, the bitwise complement of an item that is not scored on this user; popularity
        ARRAY<INT>; contents ARRAY<INT>, only with ``exclude_same_content``; decay ARRAY<DOUBLE>, only with a half-life.
    """
    limits = sample_limits(histories, codes, code_count, mine.max_item_users)
    sampled = codes.join(small_side(limits, code_count), "item_key", "left")
    is_trigger = F.col("sample_limit").isNull() | (sampling_hash() <= F.col("sample_limit"))
    columns = {
        "items": F.when(is_trigger, F.col("item")).otherwise(F.bitwise_not("item")),
        "popularity": F.col("popularity"),
    }
    if mine.exclude_same_content:
        columns["contents"] = F.col("content")
    if mine.half_life_days:
        days = (F.lit(Periods.microseconds(until)) - F.col("time")) / F.lit(86_400e6)
        # The square root for each item of a pair, so that the product halves if both events are one half-life older.
        columns["decay"] = F.pow(F.lit(0.5), days / F.lit(2 * mine.half_life_days))
    held = F.explode("items").alias("item_key")
    if mine.half_life_days:
        held = F.inline(F.arrays_zip(F.col("items").alias("item_key"), F.col("times").alias("time")))
    return (
        histories.select("user", held)
        .join(small_side(sampled, code_count), "item_key", "inner")
        .select("user", *(column.alias(name) for name, column in columns.items()))
        .groupBy("user")
        .agg(*(F.collect_list(name).alias(name) for name in columns))
    )


def triggers_held() -> Column:
    """The items of a user that are scored on this user, i.e. its triggers."""
    return F.filter("items", lambda item: item >= 0)


def bucket_count(users: DataFrame, code_count: int, rows_per_task: int) -> tuple[int, int]:
    """Number of buckets such that a bucket holds at most ``rows_per_task`` item occurrences on average.

    A user's items are sent to every bucket with one of the user's triggers. With B buckets and t triggers this is a
    share ``1 - (1 - 1/B)^t`` of the buckets, nearly all unless there are many buckets. Therefore there is one bucket
    per core, or fewer for a small log, and more only if ``rows_per_task`` requires it. There are at most as many
    buckets as items, because the users of one trigger, at most ``max_item_users`` with ``max_user_items`` items each,
    are not split.

    Returns:
        The number of buckets; the number of users.

    Raises:
        UserError: ``rows_per_task`` is too small for any number of buckets.
    """
    candidates = [1 << n for n in range(MOST_BUCKETS.bit_length()) if 1 << n <= max(code_count, 1)]
    held = F.size(triggers_held())
    loads = [F.sum(F.size("items") * (1 - F.pow(F.lit(1 - 1 / buckets), held))) for buckets in candidates]
    count, occurrences, *totals = users.agg(F.count("*"), F.sum(F.size("items")), *loads).collect()[0]
    cores = users.sparkSession.sparkContext.defaultParallelism
    wanted = min(cores, math.ceil(occurrences / WORTH_A_TASK), candidates[-1])
    for buckets, total in zip(candidates, totals, strict=True):
        if buckets >= wanted and total <= rows_per_task:
            return buckets, int(count)
    raise UserError(
        f"mine.rows_per_task: each of {candidates[-1]} buckets would still hold {totals[-1]:.0f} item occurrences;"
        " raise it, or lower mine.max_user_items or mine.max_item_users"
    )


def by_bucket(users: DataFrame, buckets: int) -> DataFrame:
    """Copies every user's row to each bucket with one of the user's triggers; each bucket is one partition.

    The bucket of an item is its number modulo the number of buckets. As numbers follow popularity, every bucket gets
    as many popular items.

    Returns:
        The columns of ``users`` and bucket INT.
    """
    held = F.array_distinct(F.transform(triggers_held(), lambda item: F.pmod(item, F.lit(buckets))))
    rows = users.withColumn("bucket", F.explode(held))
    keys = F.lit(np.array(_partition_keys(users, buckets), np.int32))  # one literal instead of one per bucket
    return rows.repartition(buckets, F.element_at(keys, F.col("bucket") + 1))


def _partition_keys(frame: DataFrame, partitions: int) -> list[int]:
    """For each partition, a number that Spark's hash partitioner sends to it. Driver memory: one number each."""
    wide = int(partitions * (partitions.bit_length() + 12))
    numbers = frame.sparkSession.range(wide).select(F.col("id").cast("int").alias("key"))
    place = F.pmod(F.hash("key"), F.lit(partitions)).alias("place")
    rows = numbers.groupBy(place).agg(F.min("key").alias("key")).collect()
    keys = {row["place"]: row["key"] for row in rows}
    return [keys[place] for place in range(partitions)]


def swing_pairs(buckets: DataFrame, mine: MineSettings, total_users: int, bucket_count: int) -> DataFrame:
    """Scores the pairs of every bucket.

    Returns:
        trigger INT, target INT, score DOUBLE, support LONG.
    """
    return buckets.mapInArrow(swing_bucket(take(SwingParameters, mine), total_users, bucket_count), SWING_SCHEMA)
