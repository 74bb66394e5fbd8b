"""Popular items of the contents, titles and categories that the user takes."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from models.retriever.background import Asked
from models.retriever.source import Source
from models.retriever.sparse_rows import Scores


class OwnKinds(Source):
    """The sum over three levels of the user's decayed events on the item's group times the item's share of its group.

    A user who takes a kind of thing may take another product of it the next time; this source names these products,
    those first that all users take most.
    """

    name = "own_kinds"
    meaning = "the user's events on the item's content, title and category times the item's share of them lately"
    reason = "it is of a kind that you take"

    @cached_property
    def _shares(self) -> list[tuple[sparse.csr_matrix, sparse.csr_matrix]]:
        """Of each level, which group an item is of, and each item's share of its group's events."""
        known, items = self.background, np.arange(self.background.items)
        counts = known.popularity(self.parameters.popular_days)
        found = []
        for group in (known.content, known.title, known.category):
            shape = (known.items, int(group.max(initial=-1)) + 1)
            member = sparse.csr_matrix((np.ones(known.items, np.float32), (items, group)), shape)
            total = np.maximum(np.bincount(group, weights=counts, minlength=shape[1]), 1)
            named = counts > 0
            share = (counts[named] / total[group[named]]).astype(np.float32)
            found.append((member, sparse.csr_matrix((share, (group[named], items[named])), shape[::-1])))
        return found

    def scores(self, asked: Asked) -> Scores:
        """Sums over the levels."""
        taken = asked.summed(0.5 ** (asked.age / self.parameters.own_half_life_days), self.background.items)
        parts = [taken @ member @ share for member, share in self._shares]
        return sparse.csr_matrix(parts[0] + parts[1] + parts[2])
