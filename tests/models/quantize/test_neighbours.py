"""The nearest contents of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.quantize.neighbours import nearest_others, read_index, write_index
from tests.generate import clustered


def test_neighbours_are_the_nearest_others() -> None:
    vectors = clustered(40)
    own = np.arange(40)
    near = nearest_others(vectors, vectors, own, 5)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    assert np.array_equal(near, np.argsort(-similarity, axis=1)[:, :5])
    assert nearest_others(vectors[:1], vectors[:1], np.array([0]), 5).shape == (1, 0)


def test_neighbours_do_not_depend_on_how_queries_are_batched() -> None:
    vectors = clustered(2000, d=64)
    whole = nearest_others(vectors, vectors, np.arange(2000), 25)
    for rows in np.split(np.arange(2000), [1, 16, 116]):
        assert np.array_equal(nearest_others(vectors[rows], vectors, rows, 25), whole[rows])


def test_neighbours_of_equal_vectors_never_include_the_own() -> None:
    same = np.repeat(clustered(1), 12, axis=0)
    near = nearest_others(same, same, np.arange(12), 3)
    assert near.shape == (12, 3)
    assert not (near == np.arange(12)[:, None]).any()


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_index_finds_nearly_the_same_neighbours(kind: str, tmp_path: Path) -> None:
    vectors = clustered(6000)
    write_index(vectors, kind, tmp_path / "index")
    own = np.arange(0, 6000, 20)
    exact = nearest_others(vectors[own], vectors, own, 10)
    found = nearest_others(vectors[own], read_index(tmp_path / "index"), own, 10)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]) > 0.9
    assert not (found == own[:, None]).any()
