"""Residual k-means: each level clusters what the level before left over (QARM V2, section on Res-KmeansFSQ)."""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np
from numpy.typing import NDArray


def fit_residual_kmeans(
    vectors: NDArray[np.float32], sizes: Sequence[int], iterations: int, seed: int
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Fits one set of centroids per level.

    Memory: the vectors, one copy for the residual.

    Args:
        vectors: shape (n, d).
        sizes: centroids per level; a level gets no more than there are vectors.
        iterations: Lloyd iterations.
        seed: of the initial centroids.

    Returns:
        Centroids of every level, each of shape (size, d), and the residual of the last level, shape (n, d).

    Raises:
        ValueError: there are no vectors.
    """
    if len(vectors) == 0:
        raise ValueError("k-means needs at least one vector")
    residual = np.ascontiguousarray(vectors, np.float32)
    levels = []
    for level, size in enumerate(sizes):
        kmeans = faiss.Kmeans(
            residual.shape[1], min(size, len(residual)), niter=iterations, seed=seed + level,
            min_points_per_centroid=1, max_points_per_centroid=max(256, len(residual) // size + 1),
        )  # fmt: skip
        kmeans.train(residual)
        centroids = np.ascontiguousarray(kmeans.centroids, np.float32)
        levels.append(centroids)
        residual = residual - centroids[nearest(residual, centroids)]
    return levels, residual


def nearest(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int32]:
    """The nearest centroid of every vector by L2 distance, exactly.

    Args:
        vectors: shape (n, d).
        centroids: shape (k, d).

    Returns:
        Positions of centroids, shape (n,).
    """
    _, found = faiss.knn(np.ascontiguousarray(vectors, np.float32), centroids, 1)
    return found[:, 0].astype(np.int32)
