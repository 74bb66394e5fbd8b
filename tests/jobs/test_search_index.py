from __future__ import annotations

import numpy as np
from pyspark.sql import SparkSession

from jobs.examples.search_index import content_numbers, known_neighbours
from lake.frames import frame_of


def test_the_best_known_item_stands_for_a_content() -> None:
    content = np.array([0, 0, 1, 1, 2, 3])
    index = np.array([9, 3, 1, 1, 2, 1], np.int32)  # 1: not known; contents 1 and 3 have no known item
    near = np.array([[4, 2], [4, 2], [0, 4], [0, -1], [5, 1], [-1, -1]])
    found = known_neighbours(near, content, index)
    assert found.tolist() == [[3, 2, 0], [3, 2, 0], [0, 3, 2], [0, 3, 0], [2, 0, 3], [0, 0, 0]]
    assert found.dtype == np.int32


def test_items_of_one_content_share_a_number_and_unknown_contents_do_not(spark: SparkSession) -> None:
    contents = ["x", None, "y", "x", None]
    rows = [(row, f"i{row}", content) for row, content in enumerate(contents)]
    items = frame_of(spark, rows, "item_row LONG, item_id STRING, content_hash STRING")
    numbers = content_numbers(items.repartition(3))
    assert numbers[0] == numbers[3]
    assert sorted(set(numbers.tolist())) == [0, 1, 2, 3]
