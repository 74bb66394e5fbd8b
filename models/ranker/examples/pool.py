"""Pools that negatives are drawn from: the interface, and what a draw may ask of a user and of the items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.ranker.examples.hashing import uniform
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import Targets, UserEvents
from models.ranker.examples.triggers import Triggers

ROUNDS = 8
"""Largest number of draws per negative; a draw that its pool does not allow is repeated."""
Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class PoolItems:
    """What a pool may prepare from all items, once a night.

    Attributes:
        weights: sampling weight of every item in each window, shape (windows, items).
        category: hash of the category, 0 for none, shape (items,).
        triggers: the triggers of every item, from mined pairs.
    """

    weights: NDArray[np.float64]
    category: NDArray[np.int64]
    triggers: Triggers


@dataclass(frozen=True)
class Drawing:
    """Draws of one user, each for a positive target, with what they are drawn from.

    Attributes:
        positives: the user's positive targets.
        source: position of each draw's positive, shape (n,).
        keys: hash of each draw, shape (n,).
        events: all of the user's events, oldest first.
        gap: largest time between a positive event and a moment that counts as the same, microseconds.
        index: the search index of the items.
    """

    positives: Targets
    source: NDArray[np.int64]
    keys: NDArray[np.uint64]
    events: UserEvents
    gap: int
    index: SearchIndex

    def uniform(self, which: NDArray[np.int64], attempt: int, number: int = 0) -> NDArray[np.float64]:
        """A number in [0, 1) for each of some draws; another one for every attempt and for every ``number``."""
        return uniform(self.keys[which], attempt + number * ROUNDS)

    @cached_property
    def positive_rows(self) -> NDArray[np.int64]:
        """Item row of each draw's positive, shape (n,)."""
        return self.positives.rows[self.source]

    @cached_property
    def times(self) -> NDArray[np.int64]:
        """Time of each draw, shape (n,)."""
        return self.positives.times[self.source]

    @cached_property
    def window(self) -> NDArray[np.int64]:
        """Window of each draw, shape (n,); a time before the first window is of the first."""
        return np.maximum(np.searchsorted(self.index.drawing_from, self.times, side="right") - 1, 0)

    @cached_property
    def taken(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Item rows and times of the user's positive events, oldest first."""
        positive = self.events.positive
        return self.events.rows[positive], self.events.times[positive]

    @cached_property
    def earlier(self) -> NDArray[np.int64]:
        """Number of the user's positive events before each draw, shape (n,)."""
        return np.searchsorted(self.taken[1], self.times, side="left")

    @cached_property
    def owned(self) -> NDArray[np.int64]:
        """Item rows of all of the user's positive events, ascending, each once."""
        return np.unique(self.taken[0])

    def weight(self, which: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sampling weight of items in the windows of some draws, 0 for an item that nobody takes then.

        Args:
            which: positions of some draws, shape (m,).
            rows: an item row for each, shape (m,).
        """
        sums, window = self.index.drawing, self.window[which]
        found: NDArray[np.float64] = sums[window, rows] - np.where(rows > 0, sums[window, rows - 1], 0)
        return found

    def taken_then(self, which: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the user took an item at the moment of a draw, so that it is no negative then.

        Args:
            which: positions of some draws, shape (m,).
            rows: an item row for each, shape (m,).
        """
        of_item, times = self._by_item
        first, last = (np.searchsorted(of_item, rows, side=side) for side in ("left", "right"))
        near = np.zeros(len(rows), np.bool_)
        _any_near(times, first, last, self.times[which], self.gap, near)
        return near

    @cached_property
    def _by_item(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rows, times = self.taken
        order = np.argsort(rows, kind="stable")
        return rows[order], times[order]


class Pool(ABC):
    """Items that negatives are drawn from.

    To add a pool, add a file with a subclass to :mod:`models.ranker.examples.pools`.

    Attributes:
        name: its name in ``examples.negatives_from``.
        meaning: what it holds, without a full stop.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]

    @classmethod
    def prepare(cls, items: PoolItems) -> Arrays:
        """Arrays that draws read from the search index, memory-mapped, by name; nothing if the pool needs none."""
        return {}

    @classmethod
    @abstractmethod
    def draw(cls, of: Drawing, which: NDArray[np.int64], attempt: int) -> NDArray[np.int64]:
        """Item rows of some draws, -1 where the pool has none; shape (m,).

        Args:
            of: all draws of the user.
            which: positions of those to draw, shape (m,).
            attempt: number of the attempt, from 0; another one gives other items.
        """

    @classmethod
    @abstractmethod
    def probability(cls, of: Drawing, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probability that each draw gives an item, before :meth:`allows`; shape (n,).

        Args:
            of: draws.
            rows: an item row for each, shape (n,).
        """

    @classmethod
    def allows(cls, of: Drawing, which: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which drawn items are negatives: those that the user did not take at that moment, and that others take then.

        An item that nobody takes in the example's window is only ever a negative there, and would be told by its age.
        """
        return ~of.taken_then(which, rows) & (of.weight(which, rows) > 0)


def draw_by_popularity(of: Drawing, which: NDArray[np.int64], attempt: int) -> NDArray[np.int64]:
    """Items by their sampling weight in the window of each draw, -1 in a window without events."""
    numbers, asked = of.uniform(which, attempt), of.window[which]
    drawn = np.full(len(which), -1, np.int64)
    for window in np.unique(asked):
        here, sums = asked == window, of.index.drawing[window]
        if sums[-1] > 0:
            drawn[here] = np.searchsorted(sums, numbers[here] * sums[-1], side="right")
    return drawn


def share_by_popularity(of: Drawing, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each item in the sampling weights of the draw's window, 0 in a window without events."""
    whole = of.index.drawing[of.window, -1]
    return of.weight(np.arange(len(rows)), rows) / np.where(whole > 0, whole, 1)


@compiled()
def _any_near(times, first, last, moments, gap, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Whether any of ``times[first:last]``, ascending, is within ``gap`` of each moment."""
    for i in range(len(moments)):
        at = first[i] + np.searchsorted(times[first[i] : last[i]], moments[i] - gap)
        out[i] = at < last[i] and times[at] <= moments[i] + gap
