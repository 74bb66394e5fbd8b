from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.ranker.training.metrics import auc, auc_per_group


def test_auc_by_hand_with_a_tie() -> None:
    # Positives score 0.9 and 0.5, negatives 0.5 and 0.1: three pairs won, one tied.
    assert auc(np.array([1, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.1])) == pytest.approx(3.5 / 4)


def test_auc_equals_scikit_learn_with_many_ties() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 5000)
    scores = np.round(generator.random(5000) + 0.2 * labels, 1)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_group_auc_equals_brute_force_and_marks_one_class() -> None:
    generator = np.random.default_rng(1)
    groups = generator.integers(0, 30, 400)
    labels = generator.integers(0, 2, 400)
    labels[groups == 7] = 1
    scores = np.round(generator.random(400), 1)
    result = auc_per_group(groups, labels, scores)
    assert np.isnan(result.auc[result.group == 7]).all()
    for group, value, count in zip(result.group, result.auc, result.count, strict=True):
        own = groups == group
        assert count == own.sum()
        pairs = [(p > n) + 0.5 * (p == n) for p in scores[own & (labels == 1)] for n in scores[own & (labels == 0)]]
        if pairs:
            assert value == pytest.approx(np.mean(pairs))
        else:
            assert np.isnan(value)


def test_one_class_or_no_rows_is_not_a_number() -> None:
    assert np.isnan(auc(np.array([1, 1]), np.array([0.1, 0.2])))
    assert np.isnan(auc(np.array([]), np.array([])))
