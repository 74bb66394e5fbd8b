"""Negatives that the user never took."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.pool import Drawing
from models.ranker.examples.pools.not_taken_then import NotTakenThen


class NeverTaken(NotTakenThen):
    """Items by popularity that are none of the user's positive items, at no time.

    The easiest pool: an item that the user took before is never a negative, so a ranker that counts knows the label.
    """

    name = "never_taken"
    meaning = "items that the user takes at no time, by popularity in the example's window"

    @classmethod
    def allows(cls, of: Drawing, which: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which drawn items the user takes at no time."""
        place = np.searchsorted(of.owned, rows)
        return np.append(of.owned, -1)[place] != rows
