"""Negatives that the user took before, and not at that moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.keys import times_before
from models.ranker.examples.pool import Drawing, Pool


class TakenBefore(Pool):
    """Items of the user's earlier positive events, each as often as the user took it.

    The hardest pool where people take things again: to tell what is taken now from what was taken before.
    """

    name = "taken_before"
    meaning = "items that the user took before, by how often, and does not take at that moment"

    @classmethod
    def draw(cls, of: Drawing, which: NDArray[np.int64], attempt: int) -> NDArray[np.int64]:
        """Items of earlier events."""
        earlier = of.earlier[which]
        places = (of.uniform(which, attempt) * earlier).astype(np.int64)
        return np.where(earlier > 0, np.append(of.taken[0], -1)[places], -1)

    @classmethod
    def probability(cls, of: Drawing, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The item's share in the earlier events."""
        counts, _ = times_before(rows, of.earlier, of.taken[0])
        return counts / np.maximum(of.earlier, 1)
