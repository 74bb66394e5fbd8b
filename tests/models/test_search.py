from __future__ import annotations

import numpy as np
import pytest

from qarm.models.ranker.search import search


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
