from __future__ import annotations

import numpy as np
import pytest

from models.ranker.examples.search import among_latest, search, search_by_key, similarities


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


@pytest.mark.parametrize(("events", "dimension", "k"), [(1, 3, 1), (600, 5, 7), (1300, 8, 50), (1300, 17, 2000)])
def test_finds_over_many_tiles_what_a_full_sort_finds(events: int, dimension: int, k: int) -> None:
    generator = np.random.default_rng(events + k)
    history = generator.integers(-2, 3, (events, dimension)).astype(np.float32)
    history[generator.random(events) < 0.5] = history[0]  # more equal ones than any tile or k holds
    targets = generator.integers(-2, 3, (70, dimension)).astype(np.float32)
    visible = generator.integers(0, events + 1, 70)
    positions, scores = search(targets, visible, history, k)
    assert np.array_equal(positions, brute_force(targets, visible, history, k))
    expected = np.where(positions >= 0, np.einsum("nd,nkd->nk", targets, history[positions]), 0)
    assert np.array_equal(scores, expected)  # small whole numbers: exact


def test_real_vectors_are_found_in_the_order_of_their_scores() -> None:
    generator = np.random.default_rng(6)
    history, targets = (generator.normal(size=(n, 64)).astype(np.float32) for n in (1500, 40))
    visible = generator.integers(1000, 1501, 40)
    positions, scores = search(targets, visible, history, 50)
    for target, end, found, score in zip(targets, visible, positions, scores, strict=True):
        exact = history[:end].astype(np.float64) @ target.astype(np.float64)
        np.testing.assert_allclose(score, exact[found], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(score, np.sort(exact)[::-1][:50], rtol=1e-5, atol=1e-5)
        assert len(set(found)) == 50


def test_equal_events_score_equal_wherever_they_lie() -> None:
    """A matrix product of BLAS does not give this: its sums depend on the place in the matrix."""
    generator = np.random.default_rng(7)
    history = generator.normal(size=(1, 64)).astype(np.float32).repeat(1003, 0)
    targets = generator.normal(size=(9, 64)).astype(np.float32)
    positions, scores = search(targets, np.full(9, 1003), history, 1003)
    assert (positions == np.arange(1002, -1, -1)).all()
    assert (scores == scores[:, :1]).all()


def test_a_result_depends_on_its_target_and_what_it_sees_alone() -> None:
    generator = np.random.default_rng(8)
    history, targets = (generator.normal(size=(n, 64)).astype(np.float32) for n in (1100, 700))
    visible = generator.integers(0, 1101, 700)
    whole = search(targets, visible, history, 20)
    for row in (0, 3, 699):
        end = visible[row]
        alone = search(targets[row : row + 1], visible[row : row + 1], history[:end], 20)
        changed = search(targets[row : row + 1], visible[row : row + 1], np.r_[history[:end], -history[end:]], 20)
        for result in (alone, changed):
            assert np.array_equal(result[0][0], whole[0][row])
            assert np.array_equal(result[1][0], whole[1][row])
    halves = [search(targets[part::2], visible[part::2], history, 20) for part in (0, 1)]
    for part, half in enumerate(halves):
        assert all(np.array_equal(a, b[part::2]) for a, b in zip(half, whole, strict=True))


def test_targets_that_see_nothing_among_others_that_do() -> None:
    positions, scores = search(np.ones((3, 2), np.float32), np.array([0, 2, 0]), np.ones((2, 2), np.float32), 3)
    assert positions.tolist() == [[-1, -1, -1], [1, 0, -1], [-1, -1, -1]]
    assert scores.tolist() == [[0, 0, 0], [2, 2, 0], [0, 0, 0]]


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


@pytest.mark.parametrize("events", [0, 1, 60])
def test_among_latest_is_what_the_search_by_key_finds(events: int) -> None:
    generator = np.random.default_rng(events)
    history, targets = generator.integers(0, 4, events), generator.integers(0, 5, 200)  # 0: no key; 4: no event has it
    visible = generator.integers(0, events + 1, 200)
    positions = np.full((200, 6), -1, np.int32)
    for row, end in enumerate(visible):
        some = generator.permutation(end)[:6]
        positions[row, : len(some)] = some
    there = among_latest(positions, targets, visible, history)
    found = search_by_key(targets[:, None], visible, history[:, None], 6)
    for row in range(200):
        assert there[row].tolist() == [p >= 0 and p in found[row] for p in positions[row]]
    assert there.any() == bool(events)


def test_similarities_are_those_of_the_positions() -> None:
    generator = np.random.default_rng(5)
    targets, history = (generator.normal(size=(n, 4)).astype(np.float32) for n in (600, 9))
    positions = generator.integers(-1, 9, (600, 3)).astype(np.int32)
    scores = similarities(targets, history, positions)
    expected = np.where(positions >= 0, np.einsum("nd,nkd->nk", targets, history[positions]), 0)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
    assert not similarities(targets, history[:0], np.full((600, 3), -1, np.int32)).any()
