"""How popular every example's target was on the days before: counted once an item and day, whatever the examples."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

CODES = ("sid_1", "sid_2", "sid_3")
SPANS = {"": None, "week_": 7, "recent_": 28, "quarter_": 91}
"""Days before the example that are counted; None for all."""
OF_ITEM = {f"item_{span}{what}": (what, days) for what in ("events", "takers") for span, days in SPANS.items()}
OF_SID = {f"sid_{span}events": ("events", SPANS[span]) for span in ("", "recent_")}
"""Columns, each with what it counts and over how many days."""
POPULARITY = (*OF_ITEM, "item_age", "item_idle", *OF_SID)
"""Columns of :func:`with_popularity_before`."""


def with_popularity_before(examples: DataFrame, positives: DataFrame, item_rows: DataFrame) -> DataFrame:
    """Adds :data:`POPULARITY`, all of days before the example's.

    Positive events on the item, and on all items of its SID; users who took the item, each on the day of the first
    time; days since the item's first event and since its last, 0 where there is none. Events say what is bought again
    and again, takers what is still tried.

    Args:
        examples: item_id, event_time and the target's codes, 0 for none; persisted, for it is read twice.
        positives: user_id, item_id, event_date.
        item_rows: of :func:`jobs.examples.search_index.item_rows`.
    """
    codes = [(F.coalesce(code, F.lit(-1)) + 1).alias(code) for code in CODES]  # as in the examples, 0 = none
    daily = daily_counts(positives)
    of_sid = daily.join(item_rows.select("item_id", *codes), "item_id", "inner")
    dated = examples.withColumn("day", F.to_date("event_time"))
    asked = dated.select("item_id", *CODES, "day").distinct()
    of_days = _before(_before(asked, daily, ["item_id"], OF_ITEM, "item_"), of_sid, list(CODES), OF_SID)
    return dated.join(of_days.drop(*CODES), ["item_id", "day"], "inner").drop("day")


def daily_counts(positives: DataFrame) -> DataFrame:
    """Positive events on every item on every day, and users who took it for the first time.

    Args:
        positives: user_id, item_id, event_date.

    Returns:
        item_id, day, events, takers.
    """
    of_user = positives.groupBy("user_id", "item_id", F.col("event_date").alias("day")).agg(F.count("*").alias("times"))
    first = F.min("day").over(Window.partitionBy("user_id", "item_id"))
    return (
        of_user.withColumn("first", first)
        .groupBy("item_id", "day")
        .agg(F.sum("times").alias("events"), F.count_if(F.col("day") == F.col("first")).alias("takers"))
    )


def _before(
    asked: DataFrame, daily: DataFrame, key: list[str], counts: Mapping[str, tuple[str, int | None]], dated: str = ""
) -> DataFrame:
    """Adds counts by a key over the days before; with a prefix also the days since the first event and the last."""
    counted = sorted({what for what, _ in counts.values()})
    none = (F.lit(0).alias(what) for what in counted)
    days = daily.select(*key, "day", *counted).unionByName(asked.select(*key, "day", *none).distinct())
    days = days.groupBy(*key, "day").agg(*(F.sum(what).alias(what) for what in counted))
    of_key = Window.partitionBy(*key).orderBy(F.unix_date("day"))
    earlier = of_key.rangeBetween(Window.unboundedPreceding, -1)
    columns = {
        name: F.coalesce(F.sum(what).over(earlier if span is None else of_key.rangeBetween(-span, -1)), F.lit(0))
        for name, (what, span) in counts.items()
    }
    if dated:
        taken = F.when(F.col("events") > 0, F.col("day"))
        ends = {f"{dated}age": F.min(taken), f"{dated}idle": F.max(taken)}
        columns |= {name: F.coalesce(F.date_diff("day", end.over(earlier)), F.lit(0)) for name, end in ends.items()}
    before = days.select(*key, "day", *(column.cast("int").alias(name) for name, column in columns.items()))
    return asked.join(before, [*key, "day"], "inner")
