"""Pools of negatives: what each holds, that a draw depends on its positive alone, and that no pool knows the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.ranker.examples.negatives import draw_negatives, drawing_weights, log_expected
from models.ranker.examples.pool import Drawing, PoolItems
from models.ranker.examples.pools import POOLS, pools_of
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import HOUR, Targets, UserEvents
from models.ranker.examples.triggers import Triggers, triggers_by_target
from tests.search_indexes import random_index, write

CATEGORY = np.array([1, 1, 1, 2, 2, 0])
POPULARITY = np.array([[9], [3], [1], [5], [0], [4]], np.int32)


def pairs_of(items: int, *pairs: tuple[int, int]) -> Triggers:
    """Pairs of a trigger and a target, of the first source."""
    trigger, target = np.array(pairs, np.int64).reshape(-1, 2).T
    return triggers_by_target(
        np.zeros(len(pairs), np.int64), target, trigger, np.ones(len(pairs), np.float32), items=items
    )


def index(popularity: NDArray[np.int32] = POPULARITY, *pairs: tuple[int, int], power: float = 1.0) -> SearchIndex:
    """Items with these popularities in one window, six of which have the categories above."""
    n = len(popularity)
    weights, category = drawing_weights(popularity, power), np.resize(CATEGORY, n)
    triggers = pairs_of(n, *(pairs or ((0, 3), (0, 5), (1, 2))))
    prepared = PoolItems(weights, category, triggers)
    return replace(
        random_index(n), drawing=np.cumsum(weights, axis=1), category=category, pair_start=triggers.start,
        pair_trigger=triggers.rows, pair_score=triggers.scores,
        pools={name: pool.prepare(prepared) for name, pool in POOLS.items()},
    )  # fmt: skip


def events(rows: Sequence[int], hours: Sequence[float]) -> UserEvents:
    n = len(rows)
    return UserEvents(
        np.array(rows), (np.array(hours) * HOUR).astype(np.int64), np.ones((n, 1), bool), np.zeros(n, bool),
        np.arange(1, n + 1, dtype=np.uint64) * np.uint64(7919),
    )  # fmt: skip


def targets(user: UserEvents, which: Sequence[int]) -> Targets:
    places = np.array(which)
    return Targets(user.rows[places], user.times[places], user.labels[places], user.keys[places])


def drawn(
    pool: str, user: UserEvents, which: int, of: SearchIndex, *, many: int = 4_000, gap: int = 0
) -> dict[int, float]:
    """Shares of the items among many negatives of one positive."""
    made, _ = draw_negatives(targets(user, [which]), user, of, per_positive=many, pools=[pool], gap=gap)
    assert not made.labels.any()
    assert (made.times == user.times[which]).all()
    rows, counts = np.unique(made.rows, return_counts=True)
    return dict(zip(rows.tolist(), (counts / max(len(made.rows), 1)).tolist(), strict=True))


def about(**shares: float) -> object:
    return pytest.approx({int(name[1:]): share for name, share in shares.items()}, abs=0.04)


USER = events([0, 1, 0, 3], [1, 2, 3, 3])
"""Takes item 0 at hours 1 and 3, item 1 at hour 2, item 3 at hour 3."""


def test_never_taken_leaves_out_what_the_user_takes_at_any_time() -> None:
    assert drawn("never_taken", USER, 1, index()) == about(_2=1 / 5, _5=4 / 5)


def test_not_taken_then_leaves_out_what_the_user_takes_at_that_moment() -> None:
    assert drawn("not_taken_then", USER, 1, index()) == about(_0=9 / 19, _2=1 / 19, _3=5 / 19, _5=4 / 19)
    assert drawn("not_taken_then", USER, 3, index()) == about(_1=3 / 8, _2=1 / 8, _5=4 / 8)


def test_a_moment_is_as_long_as_an_example() -> None:
    later = drawn("not_taken_then", USER, 1, index(), gap=HOUR)
    assert later == about(_2=1 / 5, _5=4 / 5), "items 0 and 3 are taken within the hour"


def test_taken_before_holds_the_users_earlier_items_as_often_as_they_were_taken() -> None:
    user = events([0, 0, 2, 4, 5], [1, 2, 3, 4, 5])
    assert drawn("taken_before", user, 3, index()) == about(_0=2 / 3, _2=1 / 3)
    assert drawn("taken_before", user, 0, index()) == {}, "nothing was taken before the first event"
    assert drawn("taken_before", USER, 2, index()) == {1: 1.0}, "item 0 is taken again at that moment"


def test_category_holds_the_items_of_the_positives_own_category() -> None:
    user = events([0, 3, 5], [1, 2, 3])
    assert drawn("category", user, 0, index()) == about(_1=3 / 4, _2=1 / 4)
    assert drawn("category", user, 1, index()) == {}, "the other item of its category was never taken by anyone"
    assert drawn("category", user, 2, index()) == {}, "an item without a category has none"


def test_candidates_are_partners_of_the_last_events() -> None:
    user = events([0, 1, 4], [1, 2, 3])
    assert drawn("candidates", user, 2, index()) == about(_3=1 / 4, _5=1 / 4, _2=1 / 2)
    assert drawn("candidates", events([4, 5], [1, 2]), 1, index()) == {}, "item 4 triggers no pair"


def test_every_negative_is_from_one_of_the_pools() -> None:
    user = events([0, 1, 4], [1, 2, 3])
    made, source = draw_negatives(
        targets(user, [1, 2]), user, index(), per_positive=1_000, pools=["taken_before", "candidates"]
    )
    of_last = made.rows[source == 1]
    assert (made.times == user.times[1 + source]).all()
    assert {*of_last.tolist()} == {0, 1, 2, 3, 5}
    assert np.isin(of_last, [0, 1]).mean() == pytest.approx(1 / 2, abs=0.05)


def test_popularity_is_that_of_the_examples_own_window() -> None:
    both = np.array([[0, 0], [5, 0], [0, 7], [3, 0]], np.int32)
    of = replace(index(both), drawing_from=np.array([0, 5]) * HOUR)
    user = events([0, 0], [1, 9])
    for pool in ("never_taken", "not_taken_then"):
        assert drawn(pool, user, 0, of) == about(_1=5 / 8, _3=3 / 8)
        assert drawn(pool, user, 1, of) == {2: 1.0}


@pytest.mark.parametrize("pool", POOLS)
def test_a_draw_depends_on_its_positive_and_the_past_alone(pool: str) -> None:
    draw = np.random.default_rng(3)
    of = index(draw.integers(1, 9, (40, 1)).astype(np.int32), *map(tuple, draw.integers(0, 40, (90, 2)).tolist()))
    rows, hours = draw.integers(0, 12, 30), np.sort(draw.integers(0, 50, 30))
    user = events(rows.tolist(), hours.tolist())
    all_of_them, half = targets(user, range(30)), targets(user, range(15))
    made, _ = draw_negatives(all_of_them, user, of, per_positive=3, pools=[pool])
    part, source = draw_negatives(half, user, of, per_positive=3, pools=[pool])
    log_q = log_expected(half, source, part.rows, events=user, index=of, per_positive=3, pools=[pool])
    assert (log_q > np.log(1e-9)).all(), "what was drawn can be drawn"
    known = np.isin(made.keys, part.keys)
    assert len(part.rows) > 10
    assert np.array_equal(made.rows[known], part.rows)
    if pool == "never_taken":
        return  # it knows what the user takes later, and so does its label
    moved = replace(user, times=np.where(np.arange(30) == 29, 900 * HOUR, user.times))
    assert np.array_equal(draw_negatives(half, moved, of, per_positive=3, pools=[pool])[0].rows, part.rows)
    again = log_expected(half, source, part.rows, events=moved, index=of, per_positive=3, pools=[pool])
    assert np.array_equal(again, log_q)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("which", [4, 29])
def test_probabilities_are_those_of_the_draws(pool: str, which: int) -> None:
    draw = np.random.default_rng(4)
    pairs = {(trigger, target) for trigger, target in draw.integers(0, 12, (60, 2)).tolist()}
    of = index(draw.integers(1, 9, (12, 1)).astype(np.int32), *pairs)
    user = events(draw.integers(0, 5, 30).tolist(), np.sort(draw.integers(0, 50, 30)).tolist())
    rows, one = np.arange(12), targets(user, [which])
    asked = Drawing(one, np.zeros(12, np.int64), rows.astype(np.uint64), user, 0, of)
    probability = POOLS[pool].probability(asked, rows)
    assert 0 < probability.sum() <= 1 + 1e-9, "less where an event has no partner"
    expected = probability * POOLS[pool].allows(asked, rows, rows)
    shares = drawn(pool, user, which, of, many=20_000)
    found = np.array([shares.get(row, 0.0) for row in rows.tolist()])
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.015)


def test_expected_draws_are_summed_over_the_pools() -> None:
    user = events([0, 0, 2, 4], [1, 2, 3, 4])
    rows, source = np.array([0, 2, 4]), np.zeros(3, np.int64)
    both = log_expected(
        targets(user, [3]), source, rows, events=user, index=index(), per_positive=3,
        pools=["taken_before", "not_taken_then"],
    )  # fmt: skip
    expected = 3 * (np.array([2 / 3, 1 / 3, 0]) + np.array([9, 1, 0]) / 22) / 2
    np.testing.assert_allclose(both[:2], np.log(expected[:2]), rtol=1e-5)
    assert both[2] == pytest.approx(np.log(1e-9)), "nobody took it, and the user not before"


def test_items_that_nobody_takes_in_the_window_are_no_negatives() -> None:
    both = np.array([[4, 4], [5, 0], [2, 7]], np.int32)
    of = replace(index(both, (0, 1), (0, 2)), drawing_from=np.array([0, 5]) * HOUR)
    user = events([0, 1, 0], [1, 2, 9])
    assert drawn("candidates", user, 2, of) == {2: 1.0}, "item 1 is not taken after hour 5"
    assert drawn("taken_before", user, 2, of) == {}


def test_a_window_without_events_gives_no_negatives_and_finite_numbers() -> None:
    of = replace(index(np.array([[4, 0], [5, 0]], np.int32), (0, 1)), drawing_from=np.array([0, 5]) * HOUR)
    user = events([0, 0], [1, 9])
    for pool in POOLS:
        assert drawn(pool, user, 1, of) == {}
        last = targets(user, [1])
        assert np.isfinite(
            log_expected(last, np.zeros(1, np.int64), last.rows, events=user, index=of, per_positive=1, pools=[pool])
        ).all()


def test_the_default_draws_what_earlier_versions_drew() -> None:
    n, popularity = 12, np.array([[9, 3, 1, 5, 0, 4, 7, 2], [1, 0, 6, 2, 8, 3, 0, 5]], np.int32)
    of = replace(
        random_index(8), drawing=np.cumsum(popularity.astype(float), axis=1), drawing_from=np.array([0, 60])
    )  # fmt: skip
    user = UserEvents(
        np.arange(n) % 4, np.arange(n) * 10, np.ones((n, 1), bool), np.zeros(n, bool),
        np.arange(1, n + 1, dtype=np.uint64) * np.uint64(7919),
    )  # fmt: skip
    made, source = draw_negatives(targets(user, range(n)), user, of, per_positive=2, pools=["never_taken"])
    assert made.rows.tolist() == [5, 7, 6, 6, 6, 6, 6, 6, 5, 6, 5, 6, 4, 4, 4, 4, 5, 5, 4, 4, 4, 7, 4, 4]
    assert (made.keys[:6] % np.uint64(1000)).tolist() == [32, 514, 879, 547, 139, 698]
    assert source.tolist() == [place // 2 for place in range(2 * n)]


def test_weights_are_popularity_to_a_power_and_0_where_nobody_took_the_item() -> None:
    popularity = np.array([[4, 0], [0, 9], [1, 1]], np.int32)
    np.testing.assert_allclose(drawing_weights(popularity, 0.5), [[2, 0, 1], [0, 3, 1]])
    np.testing.assert_allclose(drawing_weights(popularity, 0), [[1, 0, 1], [0, 1, 1]])


def test_what_pools_prepare_lies_beside_the_search_index(tmp_path: Path) -> None:
    of = index()
    write(of, tmp_path)
    loaded = SearchIndex.load(tmp_path)
    assert loaded.pools.keys() == {name for name, arrays in of.pools.items() if arrays}
    for pool in POOLS:
        assert drawn(pool, USER, 2, loaded, many=50) == drawn(pool, USER, 2, of, many=50)


def test_an_unknown_pool_is_refused() -> None:
    with pytest.raises(ValueError, match=r"negatives_from: there is no pool hard; name some of candidates, category"):
        pools_of(["never_taken", "hard"])
