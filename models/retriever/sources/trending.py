"""What all users take in these days."""

from __future__ import annotations

import numpy as np

from models.retriever.background import Asked
from models.retriever.histories import DAY
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores, same_for_all


class Trending(Source):
    """The same items for every user, by events that count less the older they are."""

    name = "trending"
    meaning = "events of all reference users on the item, each counted 0.5 ** (age / half-life)"
    reason = "more and more people take it"

    def scores(self, asked: Asked) -> Scores:
        """Decayed numbers of events; the best items only."""
        own, half_life = self.background.histories, self.parameters.trending_half_life_days
        weights = 0.5 ** ((self.background.moment - own.time) / DAY / half_life)
        counts = np.bincount(own.item, weights, minlength=self.background.items).astype(np.float32)
        return same_for_all(counts, self.parameters.popular_items, len(asked.itself))
