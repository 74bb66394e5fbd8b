"""Items whose semantic IDs the trained retriever writes as the user's next ones."""

from __future__ import annotations

from models.retriever.background import Asked, Background
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores


class Generator(Source):
    """Beam search over the published codes, and the scored rule that picks items of a code (OneMall)."""

    name = "generator"
    meaning = "probability of the item's semantic ID as the next one, times its share of the items with that ID"
    reason = "it is what you take next by your history"

    @classmethod
    def is_possible(cls, background: Background) -> bool:
        """Whether there is a trained retriever."""
        return background.writer is not None

    def scores(self, asked: Asked) -> Scores:
        """Probabilities of items."""
        assert self.background.writer is not None  # is_possible
        popularity = self.background.popularity(self.parameters.popular_days)
        return self.background.writer.probabilities(asked.histories, popularity)
