from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.ranker.examples.hashing import uniform
from models.ranker.examples.histories import histories_of
from models.ranker.examples.negatives import draw_negatives, drawing_weights
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import (
    HOUR,
    ExampleParameters,
    Search,
    Targets,
    UserEvents,
    targets_of,
)
from tests.search_indexes import random_index
from udfs.examples import SplitPlan, examples_of_user

PARAMETERS = ExampleParameters(recent_length=3, found_length=2, search="embedding", negatives=1, attribution_gap=0)


def small_index(n: int = 6) -> SearchIndex:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(n, 4))
    return replace(
        random_index(n),
        search_embeddings=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
        codes=np.arange(1, 3 * n + 1, dtype=np.int32).reshape(n, 3),
        item_index=np.arange(2, n + 2, dtype=np.int32),
        category=np.arange(n, dtype=np.int64) // 2,
        behaviour_until=np.array([2, 4]) * HOUR,
    )


def events(rows: list[int], hours: list[float], labels: list[int] | None = None) -> UserEvents:
    positive = np.array([1] * len(rows) if labels is None else labels, bool)
    return UserEvents(
        rows=np.array(rows),
        times=(np.array(hours) * HOUR).astype(np.int64),
        labels=positive[:, None],
        impressions=~positive,
        keys=np.arange(1, len(rows) + 1, dtype=np.uint64) * np.uint64(7919),
    )


def test_history_ends_strictly_before_the_target() -> None:
    user = events([0, 1, 2, 3], [1, 2, 2, 5])
    built = histories_of(user, targets_of(user, 0), small_index(), PARAMETERS)
    assert built.columns["history_length"].tolist() == [0, 1, 1, 3]
    assert built.recent["item"].tolist() == [[0, 0, 0], [2, 0, 0], [2, 0, 0], [4, 3, 2]]
    assert built.recent_length.tolist() == [0, 1, 1, 3]


def test_found_events_are_the_most_similar_and_carry_their_codes() -> None:
    items = small_index()
    user = events([0, 1, 2, 3, 4], [1, 2, 3, 4, 50])
    built = histories_of(user, targets_of(user, 0), items, PARAMETERS)
    similarity = items.search_embeddings[:4] @ items.search_embeddings[4]
    best = np.argsort(-similarity)[:2]
    assert built.found["item"][4].tolist() == (best + 2).tolist()
    assert built.found["sid_2"][4].tolist() == items.codes[best, 1].tolist()
    np.testing.assert_allclose(built.found_score[4], similarity[best], rtol=1e-6)
    gaps = 50 - np.array([1, 2, 3, 4])[best]
    assert built.found["gap"][4].tolist() == (1 + np.log2(1 + gaps).astype(int)).tolist()


def test_an_event_moved_to_the_future_changes_nothing_before_it() -> None:
    """DESIGN's point-in-time proof on one user: the last event moves from hour 9 to hour 90."""
    items = small_index()
    outputs = []
    for last in (9, 90):
        user = events([0, 1, 2, 0], [1, 2, 5, last])
        targets = targets_of(user, 0)
        earlier = targets.times < 9 * HOUR
        targets = Targets(*(values[earlier] for values in vars(targets).values()))
        negatives, _ = draw_negatives(targets, user, items, per_positive=2, pools=["never_taken"])
        outputs.append((negatives, histories_of(user, targets, items, PARAMETERS)))
    (negatives_a, a), (negatives_b, b) = outputs
    assert np.array_equal(negatives_a.rows, negatives_b.rows)
    assert len(negatives_a.rows) == 6
    for name in a.found:
        assert np.array_equal(a.found[name], b.found[name])
        assert np.array_equal(a.recent[name], b.recent[name])
    assert np.array_equal(a.found_score, b.found_score)
    for name, values in a.columns.items():
        assert np.array_equal(values, b.columns[name]), name


def test_an_event_moved_into_the_past_does_change_the_history() -> None:
    users = events([0, 1], [5, 9]), events([1, 0], [3, 5])
    late, early = (histories_of(user, targets_of(user, 0), small_index(), PARAMETERS) for user in users)
    assert late.columns["history_length"].tolist() == [0, 1]
    assert early.recent["item"].tolist() != late.recent["item"].tolist()


def test_impression_and_its_click_are_one_example() -> None:
    user = events([4, 4, 4, 5], [1, 1.2, 30, 2], labels=[0, 1, 0, 0])
    targets = targets_of(user, attribution_gap=HOUR)
    assert sorted(zip(targets.rows.tolist(), targets.times.tolist(), targets.labels[:, 0].tolist(), strict=True)) == [
        (4, HOUR, True), (4, 30 * HOUR, False), (5, 2 * HOUR, False),
    ]  # fmt: skip


def test_only_targets_with_a_new_event_are_made_and_only_new_ones_get_negatives() -> None:
    user = events([4, 4, 5, 3], [1, 1.2, 2, 3], labels=[0, 1, 1, 1])
    late = replace(user, new=np.array([False, True, False, True]))
    targets = targets_of(late, attribution_gap=HOUR)
    assert sorted(zip(targets.rows.tolist(), targets.times.tolist(), strict=True)) == [(3, 3 * HOUR), (4, HOUR)]
    plan = SplitPlan(None, 10**18, 10**18, (1.0, 1.0, 1.0))
    built = examples_of_user(late, small_index(9), replace(PARAMETERS, attribution_gap=HOUR), plan)
    whole = examples_of_user(user, small_index(9), replace(PARAMETERS, attribution_gap=HOUR), plan)
    assert built is not None
    assert whole is not None
    made, everything = (set(zip(b[0].rows.tolist(), b[0].keys.tolist(), strict=True)) for b in (built, whole))
    assert made <= everything, "a target, its negative and its history are as in a build of all"
    assert len(made) == 3, "two positives, and a negative of the new one"
    place = whole[0].keys.tolist().index(built[0].keys[0])
    assert built[1].columns["history_length"][0] == whole[1].columns["history_length"][place]


def test_an_example_lies_in_the_block_of_its_day() -> None:
    day = 24 * HOUR
    plan = SplitPlan(None, 10**18, 10**18, (1.0, 1.0, 1.0), blocks=(10 * day, 20 * day, 21 * day))
    assert plan.days_of(np.array([3, 10, 19, 20, 21, 99]) * day).tolist() == [10, 10, 10, 20, 21, 21]


def test_train_examples_may_begin_later_than_the_log() -> None:
    user = events([0, 1, 2, 3], [1, 2, 5, 9])
    targets = targets_of(user, 0)
    plan = SplitPlan(2 * HOUR, 9 * HOUR, 9 * HOUR, (1.0, 1.0, 1.0))
    assert targets.times[plan.keeps(targets)].tolist() == [2 * HOUR, 5 * HOUR, 9 * HOUR]


def test_uniform_is_uniform() -> None:
    numbers = uniform(np.arange(200_000, dtype=np.uint64), salt=3)
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    assert counts.min() > 9_500
    assert counts.max() < 10_500
    assert abs(np.corrcoef(numbers, uniform(np.arange(200_000, dtype=np.uint64), salt=4))[0, 1]) < 0.01


@pytest.mark.parametrize(
    ("by", "expected"), [("category", [0, 1]), ("sid", [4, 0]), ("recent", [3, 4]), ("embedding", None)]
)
def test_every_search_finds_its_own_and_gives_similarities(by: Search, expected: list[int] | None) -> None:
    items = small_index()
    items.codes[:] = [[1, 1, 1], [1, 2, 1], [1, 1, 2], [2, 1, 1], [1, 1, 3], [3, 1, 1]]
    user = events([1, 0, 4, 3, 0], [1, 2, 3, 4, 50])  # the last one's category: 0 and 1; its codes: 0 and 4, then 1
    items.category[:] = [7, 7, 0, 0, 0, 8]
    built = histories_of(user, targets_of(user, 0), items, replace(PARAMETERS, search=by))
    at = int(np.flatnonzero(targets_of(user, 0).times == 50 * HOUR)[0])
    rows = built.found["item"][at] - 2
    similarity = items.search_embeddings @ items.search_embeddings[0]
    assert rows.tolist() == (expected or sorted([0, 1, 4, 3], key=lambda row: -similarity[row])[:2])
    np.testing.assert_allclose(built.found_score[at], similarity[rows], rtol=1e-5)


def test_exclusive_events_are_found_neither_by_category_nor_by_item() -> None:
    items = small_index()
    items.category[:] = [7, 7, 7, 9, 0, 0]
    items.search_embeddings[:] = items.search_embeddings[0]  # all alike: the latest are found
    user = events([0, 1, 3, 2], [1, 2, 3, 9])
    built = histories_of(user, targets_of(user, 0), items, PARAMETERS)
    last = int(np.argmax(built.columns["history_length"]))
    assert (built.found["item"][last] - 2).tolist() == [3, 1]
    assert built.exclusive[last] == 1


def test_a_heavy_user_in_parts_gives_the_same_examples() -> None:
    items, plan = small_index(), SplitPlan(None, 10**18, 10**18, (1.0, 1.0, 1.0))
    generator = np.random.default_rng(3)
    user = events(generator.integers(0, 3, 40).tolist(), np.sort(generator.uniform(0, 99, 40)).tolist())
    whole = examples_of_user(user, items, PARAMETERS, plan)
    parts = [examples_of_user(user, items, PARAMETERS, plan, share=(part, 3)) for part in range(3)]
    assert whole is not None
    there = [part for part in parts if part is not None]
    keys = np.concatenate([targets.keys for targets, _ in there])
    assert sorted(keys) == sorted(whole[0].keys)
    assert len(there) > 1
    scores = np.concatenate([histories.found_score for _, histories in there])
    assert np.array_equal(scores[np.argsort(keys)], whole[1].found_score[np.argsort(whole[0].keys)])


def test_negatives_are_drawn_from_the_window_that_their_time_lies_in() -> None:
    popularity = np.zeros((6, 2), np.int32)
    popularity[4, 0] = popularity[5, 1] = 1
    drawing = np.cumsum(drawing_weights(popularity, 0.75), axis=1)
    items = replace(small_index(), drawing=drawing, drawing_from=np.array([0, 5]) * HOUR)
    plan = SplitPlan(None, 10**18, 10**18, (1.0, 1.0, 1.0))
    built = examples_of_user(events([0, 1, 2], [1, 5, 9]), items, PARAMETERS, plan)
    assert built is not None
    drawn = ~built[0].labels[:, 0]
    assert dict(zip(built[0].times[drawn] // HOUR, built[0].rows[drawn], strict=True)) == {1: 4, 5: 5, 9: 5}
