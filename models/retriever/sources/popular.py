"""What all users take lately."""

from __future__ import annotations

from models.retriever.background import Asked
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores, same_for_all


class Popular(Source):
    """The same items for every user."""

    name = "popular"
    meaning = "events of all reference users on the item in the last days"
    reason = "many people take it now"

    def scores(self, asked: Asked) -> Scores:
        """Numbers of events; the most popular items only."""
        counts = self.background.popularity(self.parameters.popular_days)
        return same_for_all(counts, self.parameters.popular_items, len(asked.itself))
