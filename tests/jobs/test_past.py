"""A night of the past."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from jobs.night import past
from jobs.night.past import assert_events_before, day_of, fill, lake_of
from lake.frames import frame_of
from lake.lake import Lake
from schemas.errors import UserError
from schemas.tables import INTERACTIONS, ITEMS


def past_of(lake: Lake, day: date) -> Lake:
    """The warehouse of a night of the past, filled."""
    found = lake_of(lake, day)
    fill(found, lake, day)
    return found


def add(lake: Lake, item: str, day: int, first_seen: datetime) -> None:
    """Adds an item, and an event on it."""
    when = datetime(2025, 3, day, 12, tzinfo=UTC)
    event = [("u", item, when, "click", 1.0, when.date())]
    lake.warehouse.append(INTERACTIONS, frame_of(lake.spark, event, INTERACTIONS.schema))
    row = [(item, item, None, {}, None, None, item, first_seen, first_seen)]
    lake.warehouse.append(ITEMS, frame_of(lake.spark, row, ITEMS.schema))


def test_it_knows_what_was_known_then(make_lake: Callable[..., Lake]) -> None:
    lake, early, now = make_lake(), datetime(2025, 3, 1, tzinfo=UTC), datetime.now(UTC)
    add(lake, "before", 3, now)
    add(lake, "on_the_day", 5, now)
    add(lake, "known_early", 9, early)
    versions = [lake.warehouse.version(name) for name in ("interactions", "items")]
    past = past_of(lake, date(2025, 3, 5))
    assert past.location.endswith("/_as_of/2025-03-05")
    assert [row["item_id"] for row in past.warehouse.read("interactions").collect()] == ["before"]
    items = {row["item_id"] for row in past.warehouse.read("items").collect()}
    assert items == {"before", "known_early"}
    assert versions == [lake.warehouse.version(name) for name in ("interactions", "items")]
    assert past_of(lake, date(2025, 3, 6)).warehouse.read("interactions").count() == 2
    written = past.warehouse.version("interactions")
    assert past_of(lake, date(2025, 3, 5)).warehouse.version("interactions") == written, "a killed night goes on"
    add(lake, "late", 4, now)
    assert past_of(lake, date(2025, 3, 5)).warehouse.read("interactions").count() == 2, "the log is another one now"
    planned = lake_of(lake, date(2025, 3, 7))
    assert not planned.warehouse.exists("interactions"), "a plan writes nothing"
    with pytest.raises(UserError, match="--as-of 2025-03-03: table interactions has no events before this day"):
        assert_events_before(lake, date(2025, 3, 3))


def test_versions_of_that_time_leave_late_events_out(
    make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake()
    add(lake, "in_time", 3, datetime.now(UTC))
    last = lake.warehouse.version("interactions")
    assert last is not None
    add(lake, "late", 4, datetime.now(UTC))
    real = past.history
    then = int(datetime(2025, 3, 4, tzinfo=UTC).timestamp() * 1_000_000)

    def as_then(*asked: object) -> list:
        """The commits as if the first of them had been made on the fourth of March."""
        return [c if c.version > last else type(c)(c.version, then, c.operation) for c in real(*asked)]  # type: ignore[arg-type]

    monkeypatch.setattr(past, "history", as_then)
    rows = past_of(lake, date(2025, 3, 5)).warehouse.read("interactions").collect()
    assert [row["item_id"] for row in rows] == ["in_time"]


@pytest.mark.parametrize("text", ["yesterday", "2025-02-30", "05/03/2025"])
def test_a_date_is_a_date(text: str) -> None:
    with pytest.raises(UserError, match=f"--as-of {text}: must be a date"):
        day_of(text)
