"""The reference users with the most similar vectors of items."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from models.retriever.background import Asked
from models.retriever.sparse_rows import unit_rows


def nearest_weights(
    asked: Asked, vectors: sparse.csr_matrix, reference: sparse.csr_matrix, most: int, *, by_similarity: bool = False
) -> sparse.csr_matrix:
    """Weights of each user's nearest reference users, by cosine; a user is no neighbour of their own.

    Memory: one number for each user and reference user.

    Args:
        asked: the users.
        vectors: their vectors, shape (users, items).
        reference: unit vectors of the reference users, shape (reference users, items).
        most: number of neighbours.
        by_similarity: whether a neighbour's weight is in proportion to the cosine; else all have the same.

    Returns:
        Weights whose rows sum to 1, shape (users, reference users).
    """
    near = (unit_rows(vectors) @ reference.T).toarray()
    known = np.flatnonzero(asked.itself >= 0)
    near[known, asked.itself[known]] = 0
    most = min(most, near.shape[1])
    places = np.argpartition(-near, most - 1, axis=1)[:, :most] if most else np.zeros((len(near), 0), np.int64)
    cosines = np.take_along_axis(near, places, 1)
    weights = cosines if by_similarity else (cosines > 0).astype(np.float32)
    total = weights.sum(1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights, np.float32), where=total > 0)
    indptr = np.arange(len(near) + 1) * most
    found = sparse.csr_matrix((weights.ravel().astype(np.float32), places.ravel(), indptr), shape=near.shape)
    found.eliminate_zeros()
    return found
