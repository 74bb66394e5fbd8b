"""The windows that negatives are drawn within, and how popular every item is in each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.periods import Periods

MOST_WINDOWS = 32
"""Of the train examples: each is a number an item."""


def window_days(periods: Periods) -> list[date]:
    """First days of the windows, ascending: those of the train examples, the validation period, the test period.

    The train examples' are cut evenly, each about as long as the validation period. By the popularity of a whole year
    many an item drawn is sold no more, or not yet: a ranker would learn to know negatives by that, and the validation
    and test periods, which are short, hold no such.

    Args:
        periods: of the log.
    """
    begin = periods.rank_from or periods.first_day
    days = (periods.valid_from - begin).days
    windows = min(max(1, round(days / (periods.test_from - periods.valid_from).days)), MOST_WINDOWS)
    return [
        *(begin + timedelta(days=days * n // windows) for n in range(windows)),
        periods.valid_from,
        periods.test_from,
    ]


def popularity_in(positives: DataFrame, days: Sequence[date]) -> DataFrame:
    """Positive events of every item in each window.

    Args:
        positives: item_id, event_date.
        days: of :func:`window_days`.

    Returns:
        item_id, popularity ARRAY<INT>, one number a window.
    """
    day = F.col("event_date")
    within = [(day >= F.lit(first)) & (day < F.lit(after)) for first, after in pairwise(days)]
    counts = [F.count(F.when(condition, 1)).cast("int") for condition in (*within, day >= F.lit(days[-1]))]
    return positives.groupBy("item_id").agg(F.array(*counts).alias("popularity"))
