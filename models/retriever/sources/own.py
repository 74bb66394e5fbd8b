"""The user's own items, by how often and how lately they were taken."""

from __future__ import annotations

from models.retriever.background import Asked
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores


class Own(Source):
    """Personal frequency with exponential decay."""

    name = "own"
    meaning = "the user's events on the item, each counted 0.5 ** (age / half-life)"
    reason = "you take it again and again"

    def scores(self, asked: Asked) -> Scores:
        """Sums of decayed events."""
        return asked.summed(0.5 ** (asked.age / self.parameters.own_half_life_days), self.background.items)
