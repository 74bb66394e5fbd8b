from __future__ import annotations

from datetime import date

import pytest

from lake.growth import Growth, LogSize
from schemas.sections import Trigger


def size(events: int, day: int | None) -> LogSize:
    return LogSize(events, None if day is None else date(2025, 1, day))


@pytest.mark.parametrize(
    ("then", "now", "share", "days"),
    [
        (size(90, 1), size(100, 4), 0.1, 3),
        (size(100, 4), size(100, 4), 0.0, 0),
        (size(120, 4), size(100, 4), 0.0, 0),
        (size(0, None), size(10, 4), 1.0, 0),
        (size(0, None), size(0, None), 0.0, 0),
    ],
)
def test_growth(then: LogSize, now: LogSize, share: float, days: int) -> None:
    growth = Growth.between(then, now)
    assert growth.new_share == pytest.approx(share)
    assert growth.days == days


def test_the_first_limit_that_is_reached_makes_it_due() -> None:
    trigger = Trigger(new_share=0.1, days=7)
    assert Growth(0.1, 0).is_due(trigger)
    assert Growth(0.0, 7).is_due(trigger)
    assert not Growth(0.09, 6).is_due(trigger)
    assert Growth(0.012, 3).words(trigger) == "1.2% of the events and 3 days are new; due at 10% or 7 days"
