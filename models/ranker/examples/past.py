"""A user's past: the positive events that targets are searched in, and what each of them carries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.gather import buckets, gather
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import DOUBLING, HOUR
from schemas.names import SID_COLUMNS

GAPS = HOUR * DOUBLING
"""Where the buckets of a time gap begin, microseconds."""


@dataclass(frozen=True)
class Past:
    """One user's positive events, oldest first.

    Attributes:
        rows: item rows, shape (h,).
        times: microseconds since 1970, shape (h,).
        actions: 1 + one bit for every task that an event was positive for, shape (h,).
        items: the item's index in the ranker's item table, shape (h,).
        codes: semantic IDs + 1, shape (h, 3).
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
        """Positive events with what the search index knows of their items; ``labels`` has one bit a task."""
        return cls(rows, times, (1 + labels).astype(np.int32), index.item_index[rows], index.codes[rows])

    def fields(
        self, positions: NDArray[np.int32], now: NDArray[np.int64], visible: NDArray[np.int64]
    ) -> dict[str, NDArray[np.int32]]:
        """What the events at some positions carry, 0 at -1; field to shape (n, k).

        Args:
            positions: shape (n, k).
            now: the time of every row, shape (n,).
            visible: how many of the oldest events every row may see, shape (n,).
        """
        return {
            "item": gather(self.items, positions),
            **{name: gather(self.codes[:, level], positions) for level, name in enumerate(SID_COLUMNS)},
            "gap": buckets(now, self.times, positions, GAPS),
            "action": gather(self.actions, positions),
            "position": buckets(visible - 1, np.arange(len(self.rows)), positions, DOUBLING),
        }
