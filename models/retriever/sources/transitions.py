"""What follows the user's recent items in other users' next baskets."""

from __future__ import annotations

from functools import cached_property

from scipy import sparse

from models.retriever.background import Asked
from models.retriever.baskets import Baskets
from models.retriever.neighbour_lists import transitions
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores


class Transitions(Source):
    """Forward transitions from basket to basket."""

    name = "transitions"
    meaning = "share of next baskets with the item after the user's recent items, summed with decay"
    reason = "it often follows what you took lately"

    @cached_property
    def _follows(self) -> sparse.csr_matrix:
        baskets = Baskets.of(self.background.histories, self.background.items)
        return transitions(baskets, most=self.parameters.transitions_per_item, least=self.parameters.min_transitions)

    def scores(self, asked: Asked) -> Scores:
        """Sums of shares."""
        recent = asked.summed(0.5 ** (asked.age / self.parameters.recent_half_life_days), self.background.items)
        return sparse.csr_matrix(recent @ self._follows)
