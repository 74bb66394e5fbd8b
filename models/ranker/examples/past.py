"""A user's past: the positive events that are searched for each target, and their fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.gather import buckets, gather
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import DOUBLING, HOUR
from schemas.names import SID_COLUMNS

GAPS = HOUR * DOUBLING
"""Starts of the second and later buckets of a time gap, in microseconds."""


@dataclass(frozen=True)
class Past:
    """One user's positive events, oldest first.

    Attributes:
        rows: item rows, shape (h,).
        times: microseconds since 1970, shape (h,).
        actions: 1 + the sum of one bit for every task that the event is positive for, shape (h,).
        items: row of the item in the ranker's item table, shape (h,).
        codes: semantic-ID codes of the item + 1, 0 for none, shape (h, 3).
    """

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    actions: NDArray[np.int32]
    items: NDArray[np.int32]
    codes: NDArray[np.int32]

    @classmethod
    def of(
        cls, rows: NDArray[np.int64], times: NDArray[np.int64], labels: NDArray[np.int64], index: SearchIndex
    ) -> Past:
        """Adds attributes from the search index to positive events; ``labels`` has one bit per task."""
        return cls(rows, times, (1 + labels).astype(np.int32), index.item_index[rows], index.codes[rows])

    def fields(
        self, positions: NDArray[np.int32], now: NDArray[np.int64], visible: NDArray[np.int64]
    ) -> dict[str, NDArray[np.int32]]:
        """Fields of the events at given positions, 0 for position -1; field name to an array of shape (n, k).

        Args:
            positions: positions of events, -1 for padding, shape (n, k).
            now: time of every row's target, shape (n,).
            visible: number of events visible to every row's target, which are the oldest ones, shape (n,).
        """
        return {
            "item": gather(self.items, positions),
            **{name: gather(self.codes[:, level], positions) for level, name in enumerate(SID_COLUMNS)},
            "gap": buckets(now, self.times, positions, GAPS),
            "action": gather(self.actions, positions),
            "position": buckets(visible - 1, np.arange(len(self.rows)), positions, DOUBLING),
        }
