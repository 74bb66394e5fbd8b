from __future__ import annotations

from datetime import datetime

import pytest
from pyspark.sql import SparkSession

from jobs.examples.popularity import with_popularity_before
from lake.frames import frame_of
from schemas.features import COUNTED

EVENTS = [
    ("u1", "milk", "2024-01-01"), ("u1", "milk", "2024-01-01"), ("u1", "milk", "2024-04-20"),
    ("u2", "milk", "2024-04-09"), ("u3", "milk", "2024-04-24"), ("u3", "milk", "2024-05-01"),
    ("u1", "oats", "2024-04-30"),
]  # fmt: skip
ITEMS = [("milk", 1, 2, 3), ("oats", 1, 2, 3), ("rye", 4, None, None)]


def popularity(spark: SparkSession, asked: list[tuple[str, str]]) -> list[dict[str, int]]:
    """Counts of every item at its time."""
    log = frame_of(spark, EVENTS, "user_id STRING, item_id STRING, day STRING").selectExpr(
        "user_id", "item_id", "to_date(day) AS event_date"
    )
    items = frame_of(spark, ITEMS, "item_id STRING, sid_1 INT, sid_2 INT, sid_3 INT")
    rows = [(n, item, datetime.fromisoformat(time)) for n, (item, time) in enumerate(asked)]
    examples = frame_of(spark, rows, "example INT, item_id STRING, event_time TIMESTAMP").join(
        items.selectExpr("item_id", *(f"coalesce(sid_{i}, -1) + 1 AS sid_{i}" for i in (1, 2, 3))), "item_id"
    )
    found = with_popularity_before(examples, log, items, rows=len(EVENTS)).orderBy("example").collect()
    return [{name: row[name] for name in COUNTED} for row in found]


def test_spans_end_the_day_before_and_a_taker_counts_once(spark: SparkSession) -> None:
    noon, night = popularity(spark, [("milk", "2024-05-01 12:00:00"), ("milk", "2024-05-02 00:00:00")])
    assert noon == {
        "item_events": 5, "item_week_events": 1, "item_month_events": 3, "item_quarter_events": 3,
        "item_takers": 3, "item_week_takers": 1, "item_month_takers": 2, "item_quarter_takers": 2,
        "item_age": 121, "item_idle": 7, "sid_events": 6, "sid_month_events": 4,
    }  # fmt: skip
    assert (night["item_events"], night["item_week_events"], night["item_week_takers"]) == (6, 1, 0)
    assert (night["item_takers"], night["item_idle"]) == (3, 1)


def test_an_item_without_events_has_those_of_its_sid_alone(spark: SparkSession) -> None:
    early, other = popularity(spark, [("oats", "2024-04-30 08:00:00"), ("rye", "2024-05-01 08:00:00")])
    assert {name: n for name, n in early.items() if n} == {"sid_events": 5, "sid_month_events": 3}
    assert not any(other.values())


@pytest.mark.parametrize("times", [2, 3])
def test_every_example_keeps_its_row(spark: SparkSession, times: int) -> None:
    found = popularity(spark, [("milk", "2024-05-01 12:00:00"), ("oats", "2024-05-01 12:00:00")] * times)
    assert len(found) == 2 * times
