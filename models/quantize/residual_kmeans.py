"""Fits k-means levels one after the other, each on the residual of the previous levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.quantize.codebook import Codebook
from models.quantize.kmeans import KMeansLevel, blocks, fit_kmeans
from schemas.codebook_sections import KMeansSettings


def fit_residual_kmeans(
    residual: NDArray[np.float32],
    sizes: Sequence[int],
    settings: KMeansSettings,
    *,
    seed: int,
    start: Codebook | None = None,
) -> tuple[list[KMeansLevel], NDArray[np.int32]]:
    """Fits levels one after the other, and subtracts each level's centroids from the vectors in place.

    Args:
        residual: the vectors, shape (n, d); afterwards the residual of all levels.
        sizes: number of centroids of every level.
        settings: the ``[codebook.kmeans]`` section.
        seed: random seed of the first level's initial centroids; increased by one for each further level.
        start: codebook for a warm start; a level uses its centroids if the shapes are equal.

    Returns:
        The levels, and the vectors' codes, shape (n, levels).
    """
    levels: list[KMeansLevel] = []
    codes = np.empty((len(residual), len(sizes)), np.int32)
    for place, size in enumerate(sizes):
        level = fit_kmeans(
            residual,
            size,
            iterations=settings.iterations,
            seed=seed + place,
            balanced=settings.balanced,
            start=_centroids_of(start, place, (size, residual.shape[1])),
        )
        for rows in blocks(len(residual)):
            codes[rows, place] = level.encode(residual[rows])
            residual[rows] -= level.centroids[codes[rows, place]]
        levels.append(level)
    return levels, codes


def _centroids_of(codebook: Codebook | None, place: int, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    level = codebook.level_as_fitted(place) if codebook is not None else None
    return level.centroids if isinstance(level, KMeansLevel) and level.centroids.shape == shape else None
