from __future__ import annotations

import numpy as np

from qarm.jobs.examples.catalogue import known_neighbours


def test_the_best_known_item_stands_for_a_content() -> None:
    content = np.array([50, 50, 60, 60, 70, 80])
    index = np.array([9, 3, 1, 1, 2, 1], np.int32)  # 1: not known; contents 60 and 80 have no known item
    near = np.array([[4, 2], [4, 2], [0, 4], [0, -1], [5, 1], [-1, -1]])
    found = known_neighbours(near, content, index)
    assert found.tolist() == [[3, 2, 0], [3, 2, 0], [0, 3, 2], [0, 3, 0], [2, 0, 3], [0, 0, 0]]
    assert found.dtype == np.int32
