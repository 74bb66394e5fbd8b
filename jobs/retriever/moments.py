"""The moments that the retriever learns from, as rows for Petastorm."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.pairs.histories import small_side
from lake.periods import Periods
from models.retriever.histories import HistoryShape
from models.retriever.moments import MomentParameters
from schemas.parameters import take
from schemas.retriever_sections import RetrieverSettings
from udfs.moments import build_moments, moment_schema

FILES = 8
"""Files of the rows. The number is fixed, so that batches do not depend on the cluster."""


def coded_events(positives: DataFrame, items: DataFrame, actions: list[str]) -> DataFrame:
    """Positive events with codes, sorted by user and time; an event of an item without a code is left out.

    Returns:
        user_id, part INT (0), key LONG (hash of the user), time LONG (seconds since 1970), code INT, action INT and
        event_date; partitioned by user.
    """
    number = F.array_position(F.array(*map(F.lit, actions)), F.col("action")) - 1
    return (
        positives.join(small_side(items.select("item_id", "code"), items.count()), "item_id", "inner")
        .select(
            "user_id",
            F.lit(0).alias("part"),
            F.xxhash64("user_id").alias("key"),
            F.floor(F.unix_micros("event_time") / 1_000_000).cast("long").alias("time"),
            "code",
            number.cast("int").alias("action"),
            "event_date",
        )
        .repartition("user_id")
        .sortWithinPartitions("user_id", "time", "code", "action")
    )


def moments(
    events: DataFrame, begin: date, end: date, *, most: int, shape: HistoryShape, settings: RetrieverSettings
) -> DataFrame:
    """The rows of the visits that begin in a period, a sample by hash, sorted by hash.

    Executor memory: see :func:`udfs.moments.build_moments`.

    Args:
        events: result of :func:`coded_events`.
        begin: first day of the period.
        end: first day after it.
        most: about how many rows there are at most.
        shape: how much of a history the network reads.
        settings: limits.
    """
    in_period: Column = (F.col("event_date") >= F.lit(begin)) & (F.col("event_date") < F.lit(end))
    visits = events.where(in_period).select("user_id", "event_date").distinct().count()  # about one a day
    parameters = take(
        MomentParameters,
        settings,
        visit_gap=int(settings.visit_minutes * 60),
        share=min(1.0, most / max(visits, 1)),
        begin=Periods.microseconds(begin) // 1_000_000,
        end=Periods.microseconds(end) // 1_000_000,
    )
    before = events.where(F.col("event_date") < F.lit(end)).drop("event_date")
    made = before.mapInArrow(build_moments(shape, parameters), moment_schema(shape))
    return made.repartition(FILES, "key").sortWithinPartitions(F.xxhash64("key"), "key")
