from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.ranker.examples.shrinkage import Neighbourhood, neighbourhood_of, shrink

EAST, NORTH = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)


def towards(
    near: list[list[int]], content: list[int] | None = None, vectors: NDArray[np.float32] | None = None
) -> Neighbourhood:
    items = len(near)
    return neighbourhood_of(
        np.arange(items) if content is None else np.array(content),
        np.array(near, np.int64).reshape(items, -1 if items else 0),
        np.ones((items, 1), np.float32) if vectors is None else vectors,
    )


def test_an_item_that_nobody_took_has_its_neighbourhoods_vector() -> None:
    shrunk = shrink(np.stack([EAST, NORTH, 0 * EAST]), np.array([5, 5, 0]), towards([[-1], [-1], [0]]), 8)
    np.testing.assert_allclose(shrunk, [EAST, NORTH, EAST], atol=1e-6)


def test_an_items_own_vector_counts_more_the_more_took_it() -> None:
    vectors = np.stack([EAST] * 3 + [NORTH])
    shrunk = shrink(vectors, np.array([1, 8, 800, 100]), towards([[3], [3], [3], [-1]]), 8)
    assert shrunk[0, 1] > shrunk[1, 1] > shrunk[2, 1] > 0
    np.testing.assert_allclose(shrunk[1], [0.5**0.5] * 2, rtol=1e-5)
    np.testing.assert_allclose(shrunk[3], NORTH, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(shrunk, axis=1), 1, rtol=1e-5)


def test_items_of_one_content_are_shrunk_to_each_other_and_stand_for_it() -> None:
    vectors = np.stack([EAST, 0 * EAST, 0 * EAST])
    shrunk = shrink(vectors, np.array([3, 0, 0]), towards([[-1], [-1], [1]], content=[0, 0, 1]), 8)
    np.testing.assert_allclose(shrunk, [EAST] * 3, atol=1e-6)


def test_what_is_nearer_weighs_more_and_what_is_unlike_nothing() -> None:
    direction = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [-1, 0]], np.float32)
    vectors = np.stack([0 * EAST, EAST, NORTH, NORTH])
    near = towards([[1, 2, 3], [-1] * 3, [-1] * 3, [-1] * 3], vectors=direction)
    shrunk = shrink(vectors, np.array([0, 10, 10, 10]), near, 8)
    assert shrunk[0, 1] / shrunk[0, 0] == pytest.approx((0.6 / 0.8) ** 4, rel=1e-5)


def test_padding_weighs_nothing_and_similarity_is_sharpened() -> None:
    direction = np.array([[1, 0], [0.6, 0.8], [-1, 0]], np.float32)
    found = neighbourhood_of(np.arange(3), np.array([[1, 2], [0, -1], [-1, -1]]), direction)
    np.testing.assert_allclose(found.weight, [[0.6**4, 0], [0.6**4, 0], [0, 0]], rtol=1e-5)


def test_no_neighbourhood_that_was_taken_is_no_vector() -> None:
    assert not shrink(np.zeros((2, 2), np.float32), np.zeros(2, np.int64), towards([[1], [0]]), 8).any()
    assert shrink(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), towards([]), 8).shape == (0, 2)
