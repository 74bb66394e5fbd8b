from __future__ import annotations

import numpy as np
import pytest

from qarm.models.ranker.search import search, search_by_key, similarities


def brute_force(targets, visible, history, k):
    positions = np.full((len(targets), k), -1)
    for row, (target, end) in enumerate(zip(targets, visible, strict=True)):
        ranked = sorted(range(end), key=lambda e: (-np.float32(target @ history[e]), -e))[:k]
        positions[row, : len(ranked)] = ranked
    return positions


@pytest.mark.parametrize("k", [1, 5, 40])
def test_finds_what_a_full_sort_finds(k: int) -> None:
    generator = np.random.default_rng(2)
    history = np.sign(generator.normal(size=(37, 6))).astype(np.float32)  # many equal scores
    targets = np.sign(generator.normal(size=(600, 6))).astype(np.float32)
    visible = generator.integers(0, 38, 600)
    positions, scores = search(targets, visible, history, k)
    assert np.array_equal(positions, brute_force(targets, visible, history, k))
    there = positions >= 0
    expected = np.einsum("nd,nkd->nk", targets, history[positions])
    np.testing.assert_allclose(scores[there], expected[there], rtol=1e-6)
    assert (scores[~there] == 0).all()


def test_padding_never_beats_a_negative_score() -> None:
    history = -np.eye(3, dtype=np.float32)[:1].repeat(2, 0)
    positions, scores = search(np.eye(3, dtype=np.float32)[:1], np.array([2]), history, 4)
    assert positions.tolist() == [[1, 0, -1, -1]]
    assert scores.tolist() == [[-1, -1, 0, 0]]


def test_no_history_finds_nothing() -> None:
    positions, _ = search(np.ones((2, 3), np.float32), np.zeros(2, np.int64), np.empty((0, 3), np.float32), 2)
    assert (positions == -1).all()


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_search_by_key_takes_what_shares_most_levels_latest_first(levels: int) -> None:
    generator = np.random.default_rng(4)
    history = generator.integers(0, 3, (30, levels))
    targets = generator.integers(0, 3, (50, levels))
    visible = generator.integers(0, 31, 50)
    positions = search_by_key(targets, visible, history, 7)
    for target, end, found in zip(targets, visible, positions, strict=True):
        shared = [int(np.cumprod((event == target) & (target != 0)).sum()) for event in history[:end]]
        ranked = sorted(range(end), key=lambda e, shared=shared: (-shared[e], -e))
        wanted = [e for e in ranked if shared[e] or not levels][:7]
        assert found.tolist() == wanted + [-1] * (7 - len(wanted))


def test_similarities_are_those_of_the_positions() -> None:
    generator = np.random.default_rng(5)
    targets, history = (generator.normal(size=(n, 4)).astype(np.float32) for n in (600, 9))
    positions = generator.integers(-1, 9, (600, 3)).astype(np.int32)
    scores = similarities(targets, history, positions)
    expected = np.where(positions >= 0, np.einsum("nd,nkd->nk", targets, history[positions]), 0)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
    assert not similarities(targets, history[:0], np.full((600, 3), -1, np.int32)).any()
