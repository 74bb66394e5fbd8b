"""Items whose semantic IDs the trained retriever writes as the user's next ones."""

from __future__ import annotations

from functools import cached_property

from models.retriever.background import Asked, Background
from models.retriever.catalogue import Catalogue
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores


class Generator(Source):
    """Beam search over the published codes, and the scored rule that picks items of a code (OneMall)."""

    name = "generator"
    meaning = "probability of the item's semantic ID as the next one, times its share of the items with that ID"
    reason = "it is what you take next by your history"
    fitted_until = "test_from"  # its best weights are chosen on the validation period

    @classmethod
    def is_possible(cls, background: Background) -> bool:
        """Whether there is a trained retriever."""
        return background.writer is not None

    @cached_property
    def catalogue(self) -> Catalogue:
        """The items by code, the most popular first; the same for all users."""
        assert self.background.writer is not None  # is_possible
        return self.background.writer.catalogue(self.background.popularity(self.parameters.popular_days))

    def scores(self, asked: Asked) -> Scores:
        """Probabilities of items."""
        assert self.background.writer is not None  # is_possible
        return self.background.writer.probabilities(asked.histories, self.catalogue, self.background.items)
