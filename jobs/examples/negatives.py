"""Windows of time within which negatives are sampled, and the popularity of every item in each window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.periods import Periods

MOST_WINDOWS = 32
"""Most windows in the train period; each window costs one number per item."""


def window_days(periods: Periods) -> list[date]:
    """First days of the windows, ascending: windows of the train examples, then the validation and the test period.

    The windows of the train examples have equal lengths, about that of the validation period. If negatives were sampled
    by the popularity of a whole year, many of them would be items that are not sold any more or not yet. A ranker would
    learn to recognise negatives by this, although it does not help in the short validation and test periods.

    Args:
        periods: periods of the log.
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
    """Number of positive events of every item in each window.

    Args:
        positives: item_id, event_date.
        days: result of :func:`window_days`.

    Returns:
        item_id, popularity ARRAY<INT>, one number per window.
    """
    day = F.col("event_date")
    within = [(day >= F.lit(first)) & (day < F.lit(after)) for first, after in pairwise(days)]
    counts = [F.count(F.when(condition, 1)).cast("int") for condition in (*within, day >= F.lit(days[-1]))]
    return positives.groupBy("item_id").agg(F.array(*counts).alias("popularity"))
