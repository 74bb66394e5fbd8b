from __future__ import annotations

import numpy as np

from models.ranker.examples.category_interval import DAY, category_interval
from models.ranker.examples.context import Context
from models.ranker.examples.past import Past
from models.ranker.examples.targets import ExampleParameters, Targets
from tests.search_indexes import random_index

PARAMETERS = ExampleParameters(recent_length=2, found_length=2, search="recent", negatives=0, attribution_gap=0)


def asked(rows: list[int], days: list[float], targets: list[tuple[int, float]]) -> list[list[float]]:
    """Of items whose categories are 7, 7, 8 and none."""
    index = random_index(4)
    index.category[:] = [7, 7, 8, 0]
    times = (np.array(days) * DAY).astype(np.int64)
    past = Past.of(np.array(rows, np.int64), times, labels=np.zeros(len(rows), np.int64), index=index)
    wanted = np.array([row for row, _ in targets]), (np.array([day for _, day in targets]) * DAY).astype(np.int64)
    n = len(targets)
    ranked = Targets(*wanted, labels=np.zeros((n, 1), bool), keys=np.zeros(n, np.uint64))
    return category_interval(Context(ranked, past, index, PARAMETERS)).tolist()


def test_days_since_the_last_one_and_in_usual_intervals() -> None:
    # Category 7 on days 0, 4 (a basket of both items) and 10: every 5 days.
    found = asked([0, 0, 1, 2, 0], [0, 4, 4, 6, 10], [(1, 20.0), (1, 10.0), (0, 4.0), (2, 9.0), (3, 20.0), (0, 0.0)])
    assert found == [[10, 2], [6, 1.5], [4, 0], [3, 0], [0, 0], [0, 0]]


def test_later_events_change_nothing() -> None:
    assert asked([0, 1], [0, 4], [(0, 5.0)]) == asked([0, 1, 0, 1], [0, 4, 6, 9], [(0, 5.0)]) == [[1, 0.25]]
    assert asked([], [], [(0, 5.0)]) == [[0, 0]]
