"""Negatives of the positive's category."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.pool import Arrays, Drawing, Pool, PoolItems


class SameCategory(Pool):
    """Items of the positive's category, by popularity in the example's window; none for an item without category."""

    name = "category"
    meaning = "items of the positive's category that the user does not take at that moment, by popularity"

    @classmethod
    def prepare(cls, items: PoolItems) -> Arrays:
        """The items by category, where each category begins among them, and sums of their weights in this order."""
        rows = np.argsort(items.category, kind="stable")
        keys, begin = np.unique(items.category[rows], return_index=True)
        sums = np.zeros((len(items.weights), 1 + len(rows)))
        for window, weights in enumerate(items.weights):
            np.cumsum(weights[rows], out=sums[window, 1:])
        return {"rows": rows, "keys": keys, "begin": np.append(begin, len(rows)), "sums": sums}

    @classmethod
    def draw(cls, of: Drawing, which: NDArray[np.int64], attempt: int) -> NDArray[np.int64]:
        """Items of the category."""
        held = of.index.pools[cls.name]
        begin, end = cls._bounds(of, of.positive_rows[which])
        numbers, asked = of.uniform(which, attempt), of.window[which]
        drawn = np.full(len(which), -1, np.int64)
        for window in np.unique(asked):
            here = np.flatnonzero((asked == window) & (end > begin))
            sums = held["sums"][window]
            low, high = sums[begin[here]], sums[end[here]]
            found = np.searchsorted(sums, low + numbers[here] * (high - low), side="right") - 1
            drawn[here] = np.where(high > low, held["rows"][np.minimum(found, end[here] - 1)], -1)
        return drawn

    @classmethod
    def probability(cls, of: Drawing, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The item's share in the popularity of the positive's category; 0 for an item of another one."""
        sums, category = of.index.pools[cls.name]["sums"], of.index.category
        begin, end = cls._bounds(of, of.positive_rows)
        whole = sums[of.window, end] - sums[of.window, begin]
        same = (category[rows] == category[of.positive_rows]) & (whole > 0)
        return np.where(same, of.weight(np.arange(len(rows)), rows) / np.where(whole > 0, whole, 1), 0)

    @classmethod
    def _bounds(cls, of: Drawing, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the items of an item's category begin and end; nowhere for an item without category."""
        held, category = of.index.pools[cls.name], of.index.category[rows]
        place = np.searchsorted(held["keys"], category)
        begin, end = held["begin"][place], held["begin"][place + 1]
        return begin, np.where(category == 0, begin, end)
