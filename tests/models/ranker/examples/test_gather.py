from __future__ import annotations

import numpy as np

from models.ranker.examples.gather import buckets, gather


def test_gather_takes_values_and_pads_with_zero() -> None:
    values = np.array([5, 6, 7], np.int32)
    assert gather(values, np.array([[2, 0, -1], [1, -1, -1]], np.int32)).tolist() == [[7, 5, 0], [6, 0, 0]]
    assert gather(values[:0], np.full((2, 2), -1, np.int32)).tolist() == [[0, 0], [0, 0]]


def test_buckets_count_the_borders_reached() -> None:
    positions = np.array([[0, 1, 2, -1]], np.int32)
    out = buckets(np.array([10]), np.array([12, 9, 3]), positions, np.array([1, 3, 7]))
    assert out.tolist() == [[1, 2, 4, 0]]


def test_doubling_borders_are_the_logarithm() -> None:
    sizes = np.r_[0:70_000, 2**40]
    expected = 1 + np.minimum(np.log2(1 + sizes).astype(int), 14)
    borders = 2 ** np.arange(1, 15) - 1
    out = buckets(sizes, np.zeros(1, int), np.zeros((len(sizes), 1), np.int32), borders)
    assert np.array_equal(out[:, 0], expected)
