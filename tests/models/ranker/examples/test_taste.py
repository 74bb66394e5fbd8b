from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples import taste as module
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import HOUR
from models.ranker.examples.taste import LATELY, tastes
from schemas.features import PARTS
from tests.search_indexes import asked, random_index

ITEMS, EVENTS = 40, 3 * LATELY


def known() -> SearchIndex:
    return replace(random_index(ITEMS), behaviour_until=np.array([2, 4]) * HOUR)


def taste(
    targets: NDArray[np.int64],
    times: NDArray[np.int64],
    visible: NDArray[np.int64],
    history: NDArray[np.int64],
    index: SearchIndex,
) -> NDArray[np.float32]:
    return module.taste(asked(index, targets, history, visible=visible, times=times))


def away(vectors: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float64]:
    total = vectors.sum(0, dtype=np.float64)
    direction = total / np.linalg.norm(total) - mean
    return direction / np.linalg.norm(direction)


def test_both_tastes_meet_audience_and_vector_of_the_newest_fit() -> None:
    index, draw = known(), np.random.default_rng(0)
    history = draw.integers(0, ITEMS, EVENTS)
    visible = np.array([EVENTS, EVENTS, LATELY + 7, 3, 1])
    times = np.array([2, 4, 5, 3, 9]) * HOUR
    targets = draw.integers(0, ITEMS, 5)
    found = taste(targets, times, visible, history, index)
    for row, fit in enumerate([0, 1, 1, 0, 1]):
        vectors, mean = index.behaviour_fine[fit], index.behaviour_mean[fit]
        seen = vectors[history[: visible[row]]]
        sides = index.behaviour_audience[fit, targets[row]], vectors[targets[row]]
        expected = [away(own, mean) @ side for own in (seen, seen[-LATELY:]) for side in sides]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)
    assert np.array_equal(found[3:, :2], found[3:, 2:]), "a short history is all late"
    assert not np.allclose(found[0, :2], found[0, 2:], atol=0.01)


def test_no_history_and_no_vectors_give_nothing() -> None:
    index = known()
    targets, history = np.arange(3), np.arange(10)
    early, late = np.full(3, HOUR), np.full(3, 5 * HOUR)
    assert not taste(targets, early, np.full(3, 10), history, index).any()
    assert not taste(targets, late, np.zeros(3, np.int64), history, index).any()
    assert not taste(targets, late, np.zeros(3, np.int64), history[:0], index).any()
    unknown = replace(index, behaviour_fine=np.zeros_like(index.behaviour_fine))
    assert not taste(targets, late, np.full(3, 10), history, unknown).any()
    assert taste(targets, late, np.full(3, 10), history, index).all()
    assert taste(targets, late, np.full(3, 10), history, index).shape == (3, len(PARTS["taste"]))


def test_what_all_users_share_is_no_taste() -> None:
    mean = np.array([1, 0], np.float32)
    found = tastes(np.array([[5.0, 0.0], [3.0, 4.0], [0.0, 0.0]]), mean)
    np.testing.assert_allclose(found, [[0, 0], np.array([-0.4, 0.8]) / np.hypot(0.4, 0.8), [0, 0]], atol=1e-6)


def test_later_events_and_other_targets_change_no_bit() -> None:
    index, draw = known(), np.random.default_rng(1)
    history, targets = draw.integers(0, ITEMS, EVENTS), draw.integers(0, ITEMS, 60)
    visible, times = draw.integers(0, 200, 60), draw.integers(1, 6, 60) * HOUR
    whole = taste(targets, times, visible, history, index)
    for rows in (slice(0, 1), slice(7, 9), slice(30, 60)):
        part = taste(targets[rows], times[rows], visible[rows], history[:200], index)
        assert np.array_equal(whole[rows], part)
