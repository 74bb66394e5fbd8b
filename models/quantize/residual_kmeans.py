"""Levels of nearest centroids, each fitted on what the ones before left over."""

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
    """Fits one level after the other, and takes each one's centroids away from the vectors, in place.

    Args:
        residual: the vectors, shape (n, d); what all levels leave over afterwards.
        sizes: centroids of every level.
        settings: iterations, and whether the levels are balanced.
        seed: of the first level's initial centroids; a further one's is higher by one.
        start: a codebook whose centroids each level of the same shape starts from.

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
