from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from models.pairs.swing import SwingPairs, SwingParameters, UserItems, swing
from schemas.parameters import take
from schemas.settings import load_settings

Baskets = list[set[int]]


def swing_parameters(**given: float) -> SwingParameters:
    """Plain Swing with Flink ML's constants, but for those given."""
    return take(SwingParameters, load_settings().mine, **{"significance": 0.0} | given)


def brute_force(
    baskets: Baskets, n_items: int, p: SwingParameters, decay: dict[tuple[int, int], float] | None = None
) -> dict[tuple[int, int], float]:
    """The formula, pair by pair. ``decay`` gives the weight of (user, item)."""
    scores: dict[tuple[int, int], float] = {}
    for i in range(n_items):
        for j in range(n_items):
            both = [u for u, basket in enumerate(baskets) if i in basket and j in basket]
            if i == j or len(both) < 2:
                continue
            weight = {u: (len(baskets[u]) + p.alpha1) ** -p.beta for u in both}
            if decay:
                weight = {u: w * decay[u, i] * decay[u, j] for u, w in weight.items()}
            scores[i, j] = sum(
                weight[u] * weight[v] / (p.alpha2 + len(baskets[u] & baskets[v])) for u, v in combinations(both, 2)
            )
    return scores


def layout_of(baskets: Baskets, n_items: int) -> UserItems:
    items = np.array([i for b in baskets for i in sorted(b)], np.int32)
    return UserItems(
        start=np.cumsum([0, *(len(b) for b in baskets)]).astype(np.int64),
        items=items,
        is_trigger=np.ones(len(items), bool),
        tie_break=np.arange(n_items, dtype=np.uint64),
        popularity=np.maximum(np.bincount(items, minlength=n_items), 1),
        total_users=len(baskets),
    )


def as_dict(pairs: SwingPairs) -> dict[tuple[int, int], float]:
    return {(int(i), int(j)): s for i, j, s in zip(pairs.trigger, pairs.target, pairs.score, strict=True)}


def random_baskets(users: int = 40, n_items: int = 30) -> Baskets:
    generator = np.random.default_rng(3)
    return [set(generator.choice(n_items, generator.integers(2, 15), replace=False).tolist()) for _ in range(users)]


@pytest.mark.parametrize("alpha2", [0.0, 1.5])
def test_scores_equal_the_formula(alpha2: float) -> None:
    baskets = random_baskets()
    p = swing_parameters(alpha1=5.0, alpha2=alpha2, beta=0.4, top_k=100)
    pairs = swing(layout_of(baskets, 30), p)
    expected = brute_force(baskets, 30, p)
    found = as_dict(pairs)
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(expected[key], rel=1e-9) for key in expected)
    support = {(i, j): sum(i in b and j in b for b in baskets) for i, j in expected}
    assert dict(zip(found, pairs.support.tolist(), strict=True)) == {key: support[key] for key in found}


def test_decay_weighs_both_occurrences_of_a_user() -> None:
    baskets = random_baskets()
    weights = np.random.default_rng(1).random(sum(map(len, baskets))) + 0.1
    keys = [(u, i) for u, b in enumerate(baskets) for i in sorted(b)]
    p = swing_parameters(top_k=100)
    found = as_dict(swing(replace(layout_of(baskets, 30), decay=weights), p))
    expected = brute_force(baskets, 30, p, dict(zip(keys, weights.tolist(), strict=True)))
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(expected[key], rel=1e-9) for key in expected)


def test_hand_computed_case() -> None:
    # Two users of two items each share both: weight (2 + 15) ** -0.3 each, overlap 2.
    pairs = swing(layout_of([{0, 1}, {0, 1}], 2), swing_parameters())
    assert pairs.score.tolist() == pytest.approx([17.0**-0.6 / 2] * 2)


def test_keeps_the_best_and_breaks_ties_by_hash() -> None:
    baskets = [{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 3}]
    layout = replace(layout_of(baskets, 4), tie_break=np.array([0, 9, 1, 5], np.uint64))
    pairs = swing(layout, swing_parameters(top_k=2))
    # Item 3 shares three users with item 0; items 1 and 2 score the same, and 2 has the smaller hash.
    assert pairs.target[pairs.trigger == 0].tolist() == [3, 2]


def test_only_the_marked_occurrences_are_scored_yet_all_overlap() -> None:
    baskets = random_baskets()
    layout = layout_of(baskets, 30)
    p = swing_parameters(top_k=100)
    whole = as_dict(swing(layout, p))
    some = as_dict(swing(replace(layout, is_trigger=layout.items % 3 == 1), p))
    assert some == {key: score for key, score in whole.items() if key[0] % 3 == 1}


def test_items_of_one_content_do_not_pair() -> None:
    layout = layout_of(random_baskets(), 30)
    contents = (np.arange(30) // 3).astype(np.int32)
    p = swing_parameters(top_k=100)
    whole = as_dict(swing(layout, p))
    assert as_dict(swing(replace(layout, contents=contents), p)) == {
        (i, j): score for (i, j), score in whole.items() if i // 3 != j // 3
    }


def test_minimum_support() -> None:
    layout = layout_of(random_baskets(), 30)
    whole = swing(layout, swing_parameters(top_k=100))
    some = swing(layout, swing_parameters(top_k=100, min_support=5))
    assert 0 < len(some.score) < len(whole.score)
    assert as_dict(some) == {
        key: score for (key, score), n in zip(as_dict(whole).items(), whole.support, strict=True) if n >= 5
    }


def test_significance_keeps_what_chance_does_not_explain() -> None:
    # 100 users hold items 0 and 1 together, 100 others 2 and 3; everybody holds 4.
    baskets: Baskets = [{0, 1, 4}] * 100 + [{2, 3, 4}] * 100
    found = as_dict(swing(layout_of(baskets, 5), swing_parameters(significance=2.0)))
    assert found.keys() == {(0, 1), (1, 0), (2, 3), (3, 2)}
    assert (0, 4) in as_dict(swing(layout_of(baskets, 5), swing_parameters()))


def test_popularity_power_divides_by_the_targets_popularity() -> None:
    layout = layout_of(random_baskets(), 30)
    plain, corrected = (
        as_dict(swing(layout, swing_parameters(top_k=100, popularity_power=power))) for power in (0.0, 0.5)
    )
    assert all(corrected[i, j] == pytest.approx(s / layout.popularity[j] ** 0.5) for (i, j), s in plain.items())


@pytest.mark.parametrize("wrong", [{"top_k": 0}, {"beta": -1.0}, {"min_support": 0}])
def test_refuses_senseless_parameters(wrong: dict) -> None:
    with pytest.raises(ValueError, match="Swing's"):
        swing_parameters(**wrong)
