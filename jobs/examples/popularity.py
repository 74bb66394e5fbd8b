"""Popularity of each example's target on the days before the example."""

from __future__ import annotations

import math

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.features import COUNTED
from schemas.names import SID_COLUMNS
from udfs.popularity import ASKED_COLUMNS, EVENT_COLUMNS, count_before

BUCKETS, ROWS_PER_BUCKET = 16, 1_000_000
"""Least number of buckets of semantic IDs, and the events and examples in a bucket on average."""
BITS = 21
"""Bits of a code in the number of a semantic ID."""


def with_popularity_before(examples: DataFrame, positives: DataFrame, item_rows: DataFrame, *, rows: int) -> DataFrame:
    """Adds :data:`schemas.features.COUNTED`, counts over the days before the example's day.

    They are: positive events on the item and on all items with its semantic ID; users who took the item, counted on
    the day of their first event; days since the item's first and last event, 0 if there is none. Events include items
    that a user takes again and again; users who took the item do not.

    Executor memory: the events and the examples of a bucket of semantic IDs, at least those of one. Users and items are
    told apart by 64 bits of a hash.

    Args:
        examples: item_id, event_time and the target's codes, 0 for none.
        positives: user_id, item_id, event_date.
        item_rows: result of :func:`jobs.examples.search_index.item_rows`.
        rows: events and examples, roughly.
    """
    buckets = max(BUCKETS, math.ceil(rows / ROWS_PER_BUCKET))
    bucket = F.pmod(F.xxhash64("_sid"), F.lit(buckets)).alias("_bucket")
    item = F.xxhash64("item_id").alias("_item")
    own = (F.coalesce(F.col(name), F.lit(-1)) + 1 for name in SID_COLUMNS)  # 0 = none, as in the examples
    codes = item_rows.select("item_id", _number(*own))
    events = positives.join(codes, "item_id", "inner").select(
        F.xxhash64("user_id").alias("_user"), item, "_sid", F.unix_date("event_date").alias("_day"), bucket
    )
    day = F.unix_date(F.to_date("event_time")).alias("_day")
    asked = examples.select("*", item, _number(*map(F.col, SID_COLUMNS)), day).select("*", bucket)
    counts = ", ".join(f"{name} INT" for name in COUNTED)
    schema = ", ".join([f"`{field.name}` {field.dataType.simpleString()}" for field in examples.schema] + [counts])
    return (
        events.select(*EVENT_COLUMNS, "_bucket")
        .groupBy("_bucket")
        .cogroup(asked.select(*examples.columns, *ASKED_COLUMNS, "_bucket").groupBy("_bucket"))
        .applyInArrow(count_before(examples.columns), schema)
    )


def _number(*codes: Column) -> Column:
    """A number for the codes of a semantic ID."""
    number = F.lit(0).cast("long")
    for code in codes:
        number = F.shiftleft(number, BITS) + code.cast("long")
    return number.alias("_sid")
