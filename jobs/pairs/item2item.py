"""Item-to-item pairs by Swing, in buckets of trigger items that each fit one task."""

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
"""Item occurrences below which a task of its own costs more than it brings."""


def user_rows(histories: DataFrame, codes: DataFrame, code_count: int, mine: MineSettings, *, until: date) -> DataFrame:
    """One row a user: its items as numbers, beside what the settings make the kernel need of each.

    Args:
        histories: see :func:`jobs.pairs.histories.capped_histories`.
        codes: see :func:`jobs.pairs.histories.item_codes`.
        code_count: number of codes.
        mine: the settings.
        until: end of the period that pairs are fitted on, which ages are counted from.

    Returns:
        user LONG; items ARRAY<INT>, an item that is not to be scored on this user as its complement; popularity
        ARRAY<INT>; contents ARRAY<INT> where same contents are not to pair; decay ARRAY<DOUBLE> where age matters.
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
        # Each of a pair's two occurrences gives the root: a user's part in it halves as both grow a half-life older.
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
    """A user's items that are to be scored on it."""
    return F.filter("items", lambda item: item >= 0)


def bucket_count(users: DataFrame, code_count: int, rows_per_task: int) -> tuple[int, int]:
    """How many buckets keep the average one within ``rows_per_task`` item occurrences.

    A user's items travel to every bucket that holds one of its triggers: with B buckets and t triggers, to
    ``1 - (1 - 1/B)^t`` of them: nearly all, unless there are many buckets. So there is one bucket a core, where the log
    is worth it and ``rows_per_task`` lets it, and no more than items: one trigger's users, at most ``max_item_users``
    with ``max_user_items`` each, are not split.

    Returns:
        The number of buckets; the number of users.

    Raises:
        UserError: no number of buckets does.
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
    """Sends every user's row to each bucket that holds one of its triggers; each bucket is one partition.

    An item's bucket is its number modulo the buckets: numbers follow popularity, so hot items are dealt out evenly.

    Returns:
        The columns of ``users`` and bucket INT.
    """
    held = F.array_distinct(F.transform(triggers_held(), lambda item: F.pmod(item, F.lit(buckets))))
    rows = users.withColumn("bucket", F.explode(held))
    keys = F.lit(np.array(_partition_keys(users, buckets), np.int32))  # one literal, not one a bucket
    return rows.repartition(buckets, F.element_at(keys, F.col("bucket") + 1))


def _partition_keys(frame: DataFrame, partitions: int) -> list[int]:
    """For each partition the first number that Spark's hash partitioner sends there. Driver memory: one a partition."""
    wide = int(partitions * (partitions.bit_length() + 12))
    numbers = frame.sparkSession.range(wide).select(F.col("id").cast("int").alias("key"))
    place = F.pmod(F.hash("key"), F.lit(partitions)).alias("place")
    rows = numbers.groupBy(place).agg(F.min("key").alias("key")).collect()
    keys = {row["place"]: row["key"] for row in rows}
    return [keys[place] for place in range(partitions)]


def swing_pairs(buckets: DataFrame, mine: MineSettings, total_users: int, bucket_count: int) -> DataFrame:
    """Scores every bucket.

    Returns:
        trigger INT, target INT, score DOUBLE, support LONG.
    """
    return buckets.mapInArrow(swing_bucket(take(SwingParameters, mine), total_users, bucket_count), SWING_SCHEMA)
