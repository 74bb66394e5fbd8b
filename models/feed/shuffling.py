"""A buffer that shuffles rows."""

from __future__ import annotations

import numpy as np
import torch

Rows = dict[str, torch.Tensor]


class ShufflingBuffer:
    """Holds rows in slots that are reused, so that each row is copied only once in and once out.

    Memory: ``least`` rows plus those of two calls of :meth:`add`.

    Args:
        least: number of rows that the buffer holds at least when rows are taken.
        generator: random generator that draws the order.
    """

    def __init__(self, least: int, generator: np.random.Generator) -> None:
        self.least = least
        self._generator = generator
        self._slots: Rows = {}
        self._taken = np.empty(0, np.int64)
        self._free = np.empty(0, np.int64)

    @property
    def size(self) -> int:
        """Number of rows in the buffer."""
        return len(self._taken)

    def add(self, rows: Rows) -> None:
        """Copies rows into free slots."""
        count = len(next(iter(rows.values())))
        if count > len(self._free):
            self._grow(rows, max(self.size + count, self.least + 2 * count))
        places, self._free = self._free[:count], self._free[count:]
        index = torch.from_numpy(places)
        for name, column in rows.items():
            self._slots[name].index_copy_(0, index, column)
        self._taken = np.concatenate([self._taken, places])

    def take(self, count: int) -> Rows:
        """Removes rows drawn at random."""
        drawn = self._generator.choice(self.size, count, replace=False)
        places = self._taken[drawn]
        self._taken = np.delete(self._taken, drawn)
        self._free = np.concatenate([self._free, places])
        index = torch.from_numpy(places)
        return {name: column.index_select(0, index) for name, column in self._slots.items()}

    def _grow(self, like: Rows, slots: int) -> None:
        before = self.size + len(self._free)
        for name, column in like.items():
            room = torch.empty((slots - before, *column.shape[1:]), dtype=column.dtype)
            self._slots[name] = torch.cat([self._slots[name], room]) if before else room
        self._free = np.concatenate([self._free, np.arange(before, slots)])
