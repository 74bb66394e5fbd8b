"""Mined neighbours of the user's recent items: the item-to-item pairs of Swing."""

from __future__ import annotations

from scipy import sparse

from models.retriever.background import Asked, Background
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores


class Swing(Source):
    """Swing's scores of the table ``item_pairs``, summed over the user's recent items."""

    name = "swing"
    meaning = (
        "scores of the mined pairs from the user's recent items, each as a share of its trigger's best, summed with"
        " decay"
    )
    reason = "it goes with what you took lately"
    fitted_until = "fit_until"

    @classmethod
    def is_possible(cls, background: Background) -> bool:
        """Whether there are mined pairs."""
        return background.pairs is not None

    def scores(self, asked: Asked) -> Scores:
        """Sums of Swing's scores."""
        recent = asked.summed(0.5 ** (asked.age / self.parameters.recent_half_life_days), self.background.items)
        assert self.background.pairs is not None
        return sparse.csr_matrix(recent @ self.background.pairs)
