"""Items that a linear model finds from all of the user's items: EASE (Steck, WWW 2019)."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from models.retriever.background import Asked
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores


class Ease(Source):
    """The item-to-item weights that best tell what reference users took from the other items that they took.

    With ``P = (X^T X + weight I)^-1`` and the matrix ``X`` of users and items, the weight of an item i for an item j is
    ``-P_ij / P_jj``. A cosine counts two alike items of the user twice; this counts them once.

    Memory: twelve bytes for each pair of the ``ease_items`` most held items while it is fitted, which takes seconds
    with 5,000 of them; then ``ease_per_item`` weights for each.
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
        taken = self.background.taken[:, self._kept]
        gram = np.asarray((taken.T @ taken).toarray(), np.float64)
        gram[np.diag_indices_from(gram)] += self.parameters.ease_weight
        upper, _ = lapack.dpotrf(gram.T, overwrite_a=True)  # positive definite by the weight added
        inverse, _ = lapack.dpotri(upper, overwrite_c=True)
        weights = -(np.triu(inverse) + np.triu(inverse, 1).T) / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        return _largest(weights.astype(np.float32), self.parameters.ease_per_item)

    def scores(self, asked: Asked) -> Scores:
        """Sums of weights above 0."""
        items = self.background.items
        own = asked.summed(np.ones(len(asked.histories.item)), items)[:, self._kept]
        own.data[:] = 1
        found = sparse.csr_matrix(own @ self._weights)
        found.data[found.data < 0] = 0
        found.eliminate_zeros()
        return sparse.csr_matrix((found.data, self._kept[found.indices], found.indptr), (len(asked.itself), items))


def _largest(weights: NDArray[np.float32], most: int) -> sparse.csr_matrix:
    """Each row's weights that are largest without their sign."""
    most = min(most, weights.shape[1])
    columns = np.argpartition(-np.abs(weights), most - 1, axis=1)[:, :most]
    values = np.take_along_axis(weights, columns, 1)
    indptr = np.arange(len(weights) + 1) * most
    return sparse.csr_matrix((values.ravel(), columns.ravel(), indptr), weights.shape)
