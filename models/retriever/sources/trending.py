"""What all users take in these days."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.retriever.background import Asked
from models.retriever.histories import DAY
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores, same_for_all


class Trending(Source):
    """The same items for every user, by events that count less the older they are."""

    name = "trending"
    meaning = "events of all reference users on the item, each counted 0.5 ** (age / half-life)"
    reason = "many people take it these days"

    @cached_property
    def _counts(self) -> NDArray[np.float32]:
        own, half_life = self.background.histories, self.parameters.trending_half_life_days
        weights = 0.5 ** ((self.background.moment - own.time) / DAY / half_life)
        return np.bincount(own.item, weights, minlength=self.background.items).astype(np.float32)

    def scores(self, asked: Asked) -> Scores:
        """Decayed numbers of events; the best items only."""
        return same_for_all(self._counts, self.parameters.popular_items, len(asked.itself))
