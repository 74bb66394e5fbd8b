"""Items that are taken by the same users as the user's own items: item cosine, with decay."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from models.retriever.background import Asked
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores


class Cosine(Source):
    """The sum of ``w_i cos(i, j)`` over the user's items i, through the reference users: no matrix of items is kept.

    ``cos(i, j) = |U_i and U_j| / sqrt(|U_i| |U_j|)``, so the sum is ``(w / sqrt(|U|)) B^T B / sqrt(|U|)`` with the
    matrix ``B`` of users and items. Memory: one number for each user and item of a batch.
    """

    name = "cosine"
    meaning = "item cosine by common users with the user's items, each counted 0.5 ** (age / half-life)"
    reason = "people who take your items take it too"

    @cached_property
    def _scale(self) -> sparse.dia_matrix:
        holders = np.asarray(self.background.taken.sum(0)).ravel()
        return sparse.diags((np.maximum(holders, 1) ** -0.5).astype(np.float32))

    @cached_property
    def _scaled(self) -> sparse.csr_matrix:
        return sparse.csr_matrix(self.background.taken @ self._scale)

    def scores(self, asked: Asked) -> Scores:
        """Sums of cosines; a user's own row is left out of them, as it says nothing of other users."""
        weights = asked.summed(0.5 ** (asked.age / self.parameters.cosine_half_life_days), self.background.items)
        common = (sparse.csr_matrix(weights @ self._scale) @ self.background.taken.T).toarray()
        known = np.flatnonzero(asked.itself >= 0)
        common[known, asked.itself[known]] = 0
        return np.ascontiguousarray((self._scaled.T @ common.T).T, np.float32)
