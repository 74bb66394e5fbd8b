from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from qarm.models.pairs.swing import SwingParameters, swing


def brute_force(baskets: list[set[int]], n_items: int, p: SwingParameters) -> dict[tuple[int, int], float]:
    scores: dict[tuple[int, int], float] = {}
    for i in range(n_items):
        for j in range(n_items):
            both = [u for u, basket in enumerate(baskets) if i in basket and j in basket]
            if i == j or len(both) < 2:
                continue
            scores[i, j] = sum(
                (len(baskets[u]) + p.alpha1) ** -p.beta
                * (len(baskets[v]) + p.alpha1) ** -p.beta
                / (p.alpha2 + len(baskets[u] & baskets[v]))
                for u, v in combinations(both, 2)
            )
    return scores


def run_swing(baskets: list[set[int]], n_items: int, p: SwingParameters, tie_break: np.ndarray | None = None):
    start = np.cumsum([0, *(len(b) for b in baskets)]).astype(np.int64)
    items = np.array([i for b in baskets for i in sorted(b)], np.int32)
    holders = [[u for u, b in enumerate(baskets) if i in b] for i in range(n_items)]
    trigger_start = np.cumsum([0, *(len(h) for h in holders)]).astype(np.int64)
    users = np.array([u for h in holders for u in h], np.int32)
    ties = np.arange(n_items, dtype=np.uint64) if tie_break is None else tie_break
    return swing(start, items, np.arange(n_items, dtype=np.int32), trigger_start, users, ties, p)


@pytest.mark.parametrize("alpha2", [0.0, 1.5])
def test_scores_equal_the_formula(alpha2: float) -> None:
    generator = np.random.default_rng(3)
    baskets = [set(generator.choice(30, generator.integers(2, 15), replace=False).tolist()) for _ in range(40)]
    p = SwingParameters(alpha1=5.0, alpha2=alpha2, beta=0.4, top_k=100)
    pairs = run_swing(baskets, 30, p)
    found = {(int(i), int(j)): s for i, j, s in zip(pairs.trigger, pairs.target, pairs.score, strict=True)}
    expected = brute_force(baskets, 30, p)
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(expected[key], rel=1e-9) for key in expected)
    support = {(i, j): sum(i in b and j in b for b in baskets) for i, j in expected}
    assert {
        (int(i), int(j)): int(n) for i, j, n in zip(pairs.trigger, pairs.target, pairs.support, strict=True)
    } == support


def test_hand_computed_case() -> None:
    # Two users of two items each share both: weight (2 + 15) ** -0.3 each, overlap 2.
    pairs = run_swing([{0, 1}, {0, 1}], 2, SwingParameters())
    assert pairs.score.tolist() == pytest.approx([17.0**-0.6 / 2] * 2)


def test_keeps_the_best_and_breaks_ties_by_hash() -> None:
    baskets = [{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 3}]
    ties = np.array([0, 9, 1, 5], np.uint64)
    pairs = run_swing(baskets, 4, SwingParameters(top_k=2), ties)
    # Item 3 shares three users with item 0; items 1 and 2 score the same, and 2 has the smaller hash.
    assert pairs.target[pairs.trigger == 0].tolist() == [3, 2]


def test_refuses_senseless_parameters() -> None:
    with pytest.raises(ValueError, match="top_k"):
        SwingParameters(top_k=0)
