from __future__ import annotations

import numpy as np
import pytest

from models.ranker.intervals import BAGS, BINS, binned_auc, count, intervals
from models.ranker.training.metrics import auc, auc_per_group


def drawn(users: int, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users are alike within and differ among each other."""
    generator = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), each)
    labels = (generator.random(users * each) < 0.4).astype(float)
    scores = 0.7 * labels + np.repeat(generator.normal(size=users), each) + generator.normal(size=users * each)
    return user, labels, scores


def edges(scores: np.ndarray) -> np.ndarray:
    return np.unique(np.quantile(scores, np.arange(1, BINS) / BINS))


def test_values_are_those_of_all_examples() -> None:
    user, labels, scores = drawn(300, 12)
    found = intervals(count(user % BAGS, user, labels, scores, edges=edges(scores)))
    by_user = auc_per_group(user, labels, scores)
    there = ~np.isnan(by_user.auc)
    assert found["uauc"].value == pytest.approx(by_user.auc[there].mean())
    assert found["gauc"].value == pytest.approx(np.average(by_user.auc[there], weights=by_user.count[there]))
    assert found["auc"].value == pytest.approx(auc(labels, scores), abs=1e-3)


def test_intervals_are_as_wide_as_those_of_many_logs() -> None:
    """The spread of each metric over 60 logs of other users is the truth that an interval estimates."""
    logs = [drawn(400, 10, seed) for seed in range(60)]
    halves: dict[str, list[float]] = {"auc": [], "gauc": [], "uauc": []}
    values: dict[str, list[float]] = {"auc": [], "gauc": [], "uauc": []}
    for user, labels, scores in logs:
        for name, one in intervals(count(user % BAGS, user, labels, scores, edges=edges(scores))).items():
            halves[name].append((one.high - one.low) / 2)
            values[name].append(one.value)
            assert one.low < one.value < one.high
    for name, found in values.items():
        assert np.mean(halves[name]) == pytest.approx(1.96 * np.std(found), rel=0.25), name


def test_what_cannot_be_measured_is_nan() -> None:
    user = np.arange(10)
    one_class = intervals(count(user, user, np.ones(10), np.linspace(0, 1, 10), edges=np.array([0.5])))
    assert all(np.isnan([one.value, one.low, one.high]).all() for one in one_class.values())
    one_bag = intervals(count(user * 0, user, user % 2.0, np.linspace(0, 1, 10), edges=np.array([0.5])))
    assert one_bag["auc"].value > 0
    assert np.isnan(one_bag["auc"].low)


def test_ties_within_a_bin_count_half() -> None:
    assert binned_auc(np.array([[1.0, 1.0]]), np.array([[1.0, 1.0]])) == pytest.approx([0.5])
    assert binned_auc(np.array([[0.0, 2.0]]), np.array([[2.0, 0.0]])) == pytest.approx([1.0])
