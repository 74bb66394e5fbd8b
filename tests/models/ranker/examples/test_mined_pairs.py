from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.ranker.examples.mined_pairs import mined_pairs
from models.ranker.examples.triggers import triggers_by_target
from tests.search_indexes import asked, random_index


def test_pairs_count_what_was_taken_before_and_once() -> None:
    #        source 0: 1 -> 5 (0.5), 2 -> 5 (1.0), 3 -> 5 (0.25); source 1: 1 -> 5 (0.75)
    triggers = triggers_by_target(
        np.array([0, 1, 0, 0]), np.array([5, 5, 5, 5]), np.array([2, 1, 3, 1]),
        np.array([1.0, 0.75, 0.25, 0.5], np.float32), items=6,
    )  # fmt: skip
    assert triggers.rows.tolist() == [1, 2, 3, 1]
    index = replace(random_index(6), pair_start=triggers.start, pair_trigger=triggers.rows, pair_score=triggers.scores)
    history = np.array([3, 1, 3, 2])
    found = mined_pairs(asked(index, np.array([5, 5, 5, 4]), history, visible=np.array([4, 3, 0, 4])))
    assert found.tolist() == [
        [3, 1.0, 1.75, 1, 0.75, 0.75], [2, 0.5, 0.75, 1, 0.75, 0.75], [0] * 6, [0] * 6
    ]  # fmt: skip
    assert not mined_pairs(asked(index, np.array([5]), np.empty(0, np.int64), visible=np.array([0]))).any()
