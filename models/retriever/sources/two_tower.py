"""Items near to the user in the space of the two-tower model that ``mine_pairs`` trains."""

from __future__ import annotations

from models.retriever.background import Asked, Background
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores


class TwoTowers(Source):
    """The nearest item vectors to the vector of the user's recent items."""

    name = "two_tower"
    meaning = "nearness of the item's vector to that of the user's recent items, (1 + cosine) / 2"
    reason = "it is close to what you took lately"
    fitted_until = "fit_until"

    @classmethod
    def is_possible(cls, background: Background) -> bool:
        """Whether there is a two-tower model."""
        return background.towers is not None

    def scores(self, asked: Asked) -> Scores:
        """Nearness of the nearest items."""
        assert self.background.towers is not None  # is_possible
        return self.background.towers.nearest(asked.histories)
