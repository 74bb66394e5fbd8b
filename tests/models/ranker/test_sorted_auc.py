from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.ranker.sorted_auc import Levels, Part, auc_of_parts, count_part


def levels(keys: list[int], scores: list[float], labels: list[int]) -> Levels:
    of = np.asarray(labels, np.float64)
    return Levels(np.asarray(keys, np.int64), np.asarray(scores, np.float64), of, 1 - of)


@pytest.mark.parametrize("values", [5, 40, 10**6], ids=["many ties", "some ties", "no ties"])
@pytest.mark.parametrize("parted", [1, 7])
def test_the_auc_of_parts_and_batches_is_that_of_all(values: int, parted: int) -> None:
    draw = np.random.default_rng(values)
    n = 3_000
    keys, scores, labels = draw.integers(0, 4, n), draw.integers(0, values, n) / 7, draw.integers(0, 2, n)
    order = np.lexsort((scores, keys))
    keys, scores, labels = keys[order], scores[order], labels[order]
    # A part holds all examples of a key with equal scores, but a batch may end between them.
    levels_from = np.flatnonzero((keys[1:] != keys[:-1]) | (scores[1:] != scores[:-1])) + 1
    parts: list[Part] = []
    for rows in np.split(np.arange(n), np.sort(draw.choice(levels_from, parted - 1, replace=False))):
        batches = np.array_split(rows, 5)
        parts += count_part(levels(keys[one], scores[one], labels[one]) for one in batches)
    found = auc_of_parts([parts[i] for i in draw.permutation(len(parts))])
    assert found == pytest.approx({k: roc_auc_score(labels[keys == k], scores[keys == k]) for k in range(4)}, abs=1e-12)


def test_a_key_of_one_class_has_no_auc() -> None:
    parts = count_part([levels([0, 0, 1, 2, 2], [0.1, 0.2, 0.5, 0.3, 0.3], [1, 1, 0, 0, 1])])
    assert auc_of_parts(parts) == {2: 0.5}


def test_nothing_is_counted_of_nothing() -> None:
    assert count_part([]) == []
    assert count_part([levels([], [], [])]) == []
    assert auc_of_parts([]) == {}
