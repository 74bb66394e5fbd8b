"""Counts before a day, beside counting one by one."""

from __future__ import annotations

import numpy as np
import pytest

from models.ranker.examples.popularity import counts_before
from schemas.features import COUNTED


@pytest.mark.parametrize(("events", "asked"), [(3000, 400), (0, 5), (50, 0), (1, 1)])
def test_counts_are_those_of_counting_one_by_one(events: int, asked: int) -> None:
    draw = np.random.default_rng(events)
    sid_of = draw.integers(0, 1 << 50, 40)
    log = {"user": draw.integers(-5, 5, events), "item": draw.integers(0, 30, events)}
    log |= {"sid": sid_of[log["item"] // 3], "day": draw.integers(19_000, 19_120, events)}
    targets = {"item": draw.integers(0, 40, asked), "day": draw.integers(18_990, 19_130, asked)}
    targets["sid"] = sid_of[targets["item"] // 3]
    found = counts_before(log, targets)
    assert list(found) == list(COUNTED)
    first = {}
    for user, item, day in zip(log["user"], log["item"], log["day"], strict=True):
        first[user, item] = min(day, first.get((user, item), day))
    for name, count in COUNTED.items():
        expected = []
        for place in range(asked):
            key, day = targets[count.key][place], targets["day"][place]
            if count.what == "takers":
                days = np.array([at for (_, item), at in first.items() if item == key])
            else:
                days = log["day"][log[count.key] == key]
            days = days[(days < day) & (days >= (0 if count.days is None else day - count.days))]
            far = {"age": day - days.min(initial=day), "idle": day - days.max(initial=0) if len(days) else 0}
            expected.append(far.get(count.what, len(days)))
        assert found[name].tolist() == expected, name
