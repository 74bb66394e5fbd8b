"""Negatives that the user did not take at that moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.pool import Drawing, Pool, draw_by_popularity, share_by_popularity


class NotTakenThen(Pool):
    """Items by popularity, those included that the user takes at other times: the usual protocol."""

    name = "not_taken_then"
    meaning = "items that the user does not take at that moment, by popularity in the example's window"

    @classmethod
    def draw(cls, of: Drawing, which: NDArray[np.int64], attempt: int) -> NDArray[np.int64]:
        """Items by popularity."""
        return draw_by_popularity(of, which, attempt)

    @classmethod
    def probability(cls, of: Drawing, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The item's share in the popularity."""
        return share_by_popularity(of, rows)
