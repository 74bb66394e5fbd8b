"""What similar users took: cosine of the users' sets of items."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from models.retriever.background import Asked
from models.retriever.nearest_users import nearest_weights
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores, unit_rows


class UserKnn(Source):
    """The share of near users who took an item; rare items count more in who is near."""

    name = "user_knn"
    meaning = "share of the nearest users, by common items, who took the item"
    reason = "people who shop like you take it"

    @cached_property
    def _rarity(self) -> sparse.dia_matrix:
        holders = np.asarray(self.background.taken.sum(0)).ravel()
        users = max(self.background.histories.users, 1)
        return sparse.diags(np.log1p(users / np.maximum(holders, 1)).astype(np.float32))

    @cached_property
    def _units(self) -> sparse.csr_matrix:
        return unit_rows(sparse.csr_matrix(self.background.taken @ self._rarity))

    def scores(self, asked: Asked) -> Scores:
        """Shares of neighbours, weighted by their cosine."""
        held = asked.summed(np.ones(len(asked.histories.item)), self.background.items)
        held.data[:] = 1
        vectors = sparse.csr_matrix(held @ self._rarity)
        near = nearest_weights(asked, vectors, self._units, self.parameters.nearest_users, by_similarity=True)
        return sparse.csr_matrix(near @ self.background.taken)
