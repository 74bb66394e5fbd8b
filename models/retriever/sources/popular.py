"""What all users take lately."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from models.retriever.background import Asked
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores


class Popular(Source):
    """The same items for every user."""

    name = "popular"
    meaning = "events of all reference users on the item in the last days"
    reason = "many people take it now"

    def scores(self, asked: Asked) -> Scores:
        """Numbers of events; the most popular items only."""
        counts = self.background.popularity(self.parameters.popular_days)
        best = np.argsort(-counts, kind="stable")[: self.parameters.popular_items]
        best = np.sort(best[counts[best] > 0])
        users = len(asked.itself)
        indptr = np.arange(users + 1) * len(best)
        return sparse.csr_matrix(
            (np.tile(counts[best], users), np.tile(best, users), indptr), shape=(users, self.background.items)
        )
