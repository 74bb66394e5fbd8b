from __future__ import annotations

import numpy as np
import pytest

from models.projection import plane_of


def test_similar_vectors_are_near_each_other() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(2, 8))[np.arange(40) % 2] * 5 + generator.normal(size=(40, 8)) / 10
    plane = plane_of(vectors)
    assert np.abs(plane).max() == pytest.approx(1)
    own, other = (np.linalg.norm(plane - plane[i], axis=1) for i in (0, 1))
    assert own[::2].max() < other[::2].min()


@pytest.mark.parametrize("value", [0.0, 0.3, -7.0])
def test_vectors_that_do_not_differ_lie_in_the_middle(value: float) -> None:
    """t-SNE started from principal components that are NaN, and ended the process."""
    assert not plane_of(np.full((12, 8), value, np.float32)).any()
