from __future__ import annotations

from dataclasses import replace
from datetime import date

from pyspark.sql import SparkSession

from jobs.examples.negatives import MOST_WINDOWS, popularity_in, window_days
from lake.frames import frame_of
from lake.periods import Periods

PERIODS = Periods(date(2025, 1, 1), date(2025, 1, 11), date(2025, 1, 31), date(2025, 2, 5))


def test_train_windows_are_about_as_long_as_the_validation_period() -> None:
    days = [date(2025, 1, day) for day in (11, 16, 21, 26, 31)]
    assert window_days(PERIODS) == [*days, date(2025, 2, 5)]
    whole = replace(PERIODS, fit_until=PERIODS.valid_from)
    assert window_days(whole)[:2] == [date(2025, 1, 1), date(2025, 1, 6)], "examples from the log's first day on"
    assert len(window_days(whole)) == 6 + 2


def test_a_short_train_period_is_one_window_and_a_long_one_not_endless() -> None:
    short = replace(PERIODS, fit_until=date(2025, 1, 29))
    assert window_days(short) == [short.fit_until, short.valid_from, short.test_from]
    long = replace(PERIODS, first_day=date(2020, 1, 1), fit_until=PERIODS.valid_from)
    days = window_days(long)
    assert len(days) == MOST_WINDOWS + 2
    assert days == sorted(set(days))


def test_popularity_is_counted_window_by_window(spark: SparkSession) -> None:
    taken = [("a", 9), ("a", 11), ("a", 15), ("a", 16), ("b", 30), ("b", 31), ("c", 5)]
    rows = [(item, date(2025, 1, day)) for item, day in taken] + [("a", date(2025, 3, 1))]
    log = frame_of(spark, rows, "item_id STRING, event_date DATE")
    found = {row["item_id"]: row["popularity"] for row in popularity_in(log, window_days(PERIODS)).collect()}
    assert found == {"a": [2, 1, 0, 0, 0, 1], "b": [0, 0, 0, 1, 1, 0], "c": [0, 0, 0, 0, 0, 0]}
