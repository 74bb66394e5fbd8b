from __future__ import annotations

import numpy as np
import pytest

from models.ranker.examples.keys import leading_keys, times_before
from models.ranker.examples.search import search
from models.ranker.examples.top_k import TIERS


def test_times_before_counts_what_is_visible_and_finds_the_last() -> None:
    history = np.array([7, 3, 7, 7, 5])
    counts, last = times_before(np.array([7, 7, 3, 9, -1, 5]), np.array([5, 2, 5, 5, 5, 4]), history)
    assert counts.tolist() == [3, 1, 1, 0, 0, 0]
    assert last.tolist() == [3, 0, 1, -1, -1, -1]
    none, nowhere = times_before(np.array([7]), np.array([0]), np.empty(0, np.int64))
    assert (none.tolist(), nowhere.tolist()) == ([0], [-1])


def test_times_before_equals_a_plain_count() -> None:
    generator = np.random.default_rng(0)
    history, targets = generator.integers(-1, 9, 200), generator.integers(-1, 12, 300)
    visible = generator.integers(0, 201, 300)
    counts, last = times_before(targets, visible, history)
    for target, end, count, place in zip(targets, visible, counts, last, strict=True):
        seen = np.flatnonzero(history[:end] == target) if target >= 0 else np.empty(0)
        assert count == len(seen)
        assert place == (seen[-1] if len(seen) else -1)


def test_leading_keys_tell_prefixes_apart_and_know_missing_codes() -> None:
    codes = np.array([[1, 2, 3], [1, 2, 4], [2, 1, 3], [1, 0, 0], [0, 0, 0], [1, 2, 3]], np.int32)
    assert leading_keys(codes, 1).tolist() == [1, 1, 2, 1, -1, 1]
    two, three = leading_keys(codes, 2), leading_keys(codes, 3)
    assert two[0] == two[1] != two[2]
    assert (two[3:5] == -1).all()
    assert three[0] == three[5] != three[1]


@pytest.mark.parametrize("k", [1, 40])
def test_events_are_counted_by_similarity_up_to_the_target_alone(k: int) -> None:
    generator = np.random.default_rng(1)
    history = generator.normal(size=(1300, 8)).astype(np.float32)
    history /= np.linalg.norm(history, axis=1, keepdims=True)
    targets, visible = history[generator.integers(0, 1300, 70)], generator.integers(0, 1301, 70)
    similar = np.zeros((70, TIERS), np.int32)
    positions, _ = search(targets, visible, history, k, similar=similar)
    plain, _ = search(targets, visible, history, k)
    assert np.array_equal(positions, plain)
    borders = np.append(np.linspace(0, 1, TIERS - 1)[:-1], 0.9999)
    for target, end, counts in zip(targets, visible, similar, strict=True):
        scores = history[:end] @ target
        expected = np.bincount(np.searchsorted(borders, scores, side="left"), minlength=TIERS)
        assert counts.sum() == end
        assert np.abs(counts - expected).sum() <= 2  # one at a border, by the last bit
    later = np.concatenate([history, -history])
    again = np.zeros_like(similar)
    search(targets, visible, later, k, similar=again)
    assert np.array_equal(similar, again)
