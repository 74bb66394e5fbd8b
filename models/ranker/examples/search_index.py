"""The search index: what is known of every item when a user's history is searched for a target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.triggers import Triggers


@dataclass(frozen=True)
class SearchIndex:
    """What is known of every item, as build_examples publishes it: arrays whose rows are items, memory-mapped.

    Attributes:
        search_embeddings: for the GSU, shape (items, d); may be memory-mapped.
        text_embeddings: of the model before alignment, shape (items, d); (0, d) where they are the search embeddings.
        codes: semantic IDs + 1, 0 where an item has none, shape (items, 3).
        item_index: row of the ranker's item table, see :data:`models.ranker.examples.targets.UNKNOWN`, shape (items,).
        drawing: running sum over the items of what negatives are drawn by in each window, see
            :func:`models.ranker.examples.targets.drawing_sums`.
        drawing_from: first microsecond of each window since 1970, shape (windows,).
        category: a hash of the category, 0 where an item has none, shape (items,).
        neighbours: index of the items that stand for its content and the nearest others, 0 for none, shape (items, k).
        pair_start, pair_trigger, pair_score: see :class:`models.ranker.examples.triggers.Triggers`.
        behaviour_coarse, behaviour_fine: vectors by who takes what, of every fit, oldest first: of length 1, or 0 where
            an item was not taken before; shape (fits, items, d), d small and larger.
        behaviour_audience: mean taste of those who took an item, by the fine vectors of every fit, see
            :mod:`models.ranker.examples.taste`; shape (fits, items, d).
        behaviour_mean: the mean user of every fit, by the fine vectors, shape (fits, d).
        behaviour_until: microseconds since 1970 that each fit's log ends before, shape (fits,).
    """

    search_embeddings: NDArray[np.float32]
    text_embeddings: NDArray[np.float32]
    codes: NDArray[np.int32]
    item_index: NDArray[np.int32]
    drawing: NDArray[np.float64]
    drawing_from: NDArray[np.int64]
    category: NDArray[np.int64]
    neighbours: NDArray[np.int32]
    pair_start: NDArray[np.int64]
    pair_trigger: NDArray[np.int32]
    pair_score: NDArray[np.float32]
    behaviour_coarse: NDArray[np.float32]
    behaviour_fine: NDArray[np.float32]
    behaviour_audience: NDArray[np.float32]
    behaviour_mean: NDArray[np.float32]
    behaviour_until: NDArray[np.int64]

    @property
    def triggers(self) -> Triggers:
        """The triggers of every item."""
        return Triggers(self.pair_start, self.pair_trigger, self.pair_score)
