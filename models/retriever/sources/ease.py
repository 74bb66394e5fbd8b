"""Items that a linear model finds from all of the user's items: EASE (Steck, WWW 2019)."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from models.retriever.background import Asked
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores, zeroed

ROWS = 512
"""Rows or columns of a block of a matrix."""


class Ease(Source):
    """The item-to-item weights that best tell what reference users took from the other items that they took.

    With ``P = (X^T X + weight I)^-1`` and the matrix ``X`` of users and items, the weight of an item i for an item j is
    ``-P_ij / P_jj``. A cosine counts two alike items of the user twice; this counts them once.

    What the user took has no score, because the user's own row is in the model of a reference user; other sources name
    it.

    Memory: eight bytes for each pair of the ``ease_items`` most held items while it is fitted, once in every process,
    which takes a second with 3,000 of them; then ``ease_per_item`` weights for each.
    """

    name = "ease"
    meaning = "sum of the weights of the user's items in a linear model of what reference users took (EASE)"
    reason = "people with your taste take it"

    @cached_property
    def _kept(self) -> NDArray[np.int64]:
        """The items that it knows, ascending."""
        holders = np.asarray(self.background.taken.sum(0)).ravel()
        best = np.argsort(-holders, kind="stable")[: self.parameters.ease_items]
        return np.sort(best[holders[best] > 0])

    @cached_property
    def _weights(self) -> sparse.csr_matrix:
        """Weights of items for items, in the order of ``_kept``."""
        if not len(self._kept):
            return sparse.csr_matrix((0, 0), dtype=np.float32)
        taken = sparse.csr_matrix(self.background.taken[:, self._kept], dtype=np.float64)
        inverse = _inverse(_common_users(taken, self.parameters.ease_weight))
        blocks = [
            _largest(inverse[start : start + ROWS] / -np.diag(inverse), start, self.parameters.ease_per_item)
            for start in range(0, len(inverse), ROWS)
        ]
        return sparse.csr_matrix(sparse.vstack(blocks, format="csr"))

    def scores(self, asked: Asked) -> Scores:
        """Sums of weights above 0, of items that the user did not take."""
        items = self.background.items
        own = asked.summed(np.ones(len(asked.histories.item)), items)[:, self._kept]
        own.data[:] = 1
        found = sparse.csr_matrix(own @ self._weights)
        found.data[found.data < 0] = 0
        found.eliminate_zeros()
        found = sparse.csr_matrix(zeroed(found, own))
        return sparse.csr_matrix((found.data, self._kept[found.indices], found.indptr), (len(asked.itself), items))


def _common_users(taken: sparse.csr_matrix, weight: float) -> NDArray[np.float64]:
    """Numbers of users of each pair of items, with a weight added to each item's own, shape (items, items)."""
    items = taken.shape[1]
    common = np.empty((items, items))
    for start in range(0, items, ROWS):
        common[:, start : start + ROWS] = taken.T @ taken[:, start : start + ROWS].toarray()
    common[np.diag_indices(items)] += weight
    return common


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of a symmetric positive definite matrix, in its place."""
    factor, failed = lapack.dpotrf(matrix.T, overwrite_a=True)
    inverse, failed = (factor, failed) if failed else lapack.dpotri(factor, overwrite_c=True)
    if failed:
        raise ValueError("the matrix of common users cannot be inverted; raise retrieve.ease_weight")
    for start in range(0, len(inverse), ROWS):
        end = min(start + ROWS, len(inverse))
        corner = np.triu(inverse[start:end, start:end])
        inverse[start:end, start:end] = corner + np.triu(corner, 1).T
        inverse[end:, start:end] = inverse[start:end, end:].T
    return inverse


def _largest(weights: NDArray[np.float64], first: int, most: int) -> sparse.csr_matrix:
    """The weights of some items that are largest without their sign, but for those of items for themselves.

    Args:
        weights: weights of a block of items for all items, shape (rows, items); changed.
        first: number of the first of these items.
        most: weights that are kept of an item.
    """
    rows = np.arange(len(weights))
    weights[rows, first + rows] = 0
    most = min(most, weights.shape[1])
    columns = np.argpartition(-np.abs(weights), most - 1, axis=1)[:, :most]
    values = np.take_along_axis(weights, columns, 1).astype(np.float32)
    return sparse.csr_matrix((values.ravel(), columns.ravel(), np.arange(len(rows) + 1) * most), weights.shape)
