"""QARM V1's VQ code: the nearest items of an item, by embedding."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray


def nearest_others(
    queries: NDArray[np.float32], embeddings: NDArray[np.float32], own: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """The k nearest embeddings by inner product, an item's own left out; exact.

    Args:
        queries: shape (n, d).
        embeddings: shape (m, d).
        own: position of each query in ``embeddings``, shape (n,).
        k: neighbours wanted.

    Returns:
        Positions, nearest first, shape (n, min(k, m - 1)).
    """
    k = min(k, len(embeddings) - 1)
    if k <= 0:
        return np.empty((len(queries), 0), np.int64)
    _, found = faiss.knn(queries, embeddings, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    others = found != own[:, None]
    # Where the own row is not among the k + 1 (equal embeddings crowd it out), the last one goes instead.
    others[others.all(1), -1] = False
    return found[others].reshape(len(queries), k)
