"""Whether it is time for the target's category again, by the user's own habit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.keys import category_keys, times_before
from models.ranker.examples.registry import feature

DAY = 86_400_000_000
"""Microseconds."""


@feature
def category_interval(of: Context) -> NDArray[np.float32]:
    """Days since the user's last event of the target's category, and the same in mean intervals between such events.

    Events of one moment (a basket) count once. Both are 0 where the user has no event of the category or the target no
    category; the second also where there is one event alone, and so no interval yet.
    """
    times, keys = of.past.times, category_keys(of.index.category[of.past.rows])
    order = np.lexsort((times, keys))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(keys[order]) != 0) | (np.diff(times[order]) != 0)
    visits = np.sort(order[new])  # the first event of each moment and category, oldest first
    wanted = category_keys(of.index.category[of.targets.rows])
    count, last = times_before(wanted, np.searchsorted(visits, of.visible), keys[visits])
    out = np.zeros((len(wanted), 2), np.float32)
    known = np.flatnonzero(count)
    if len(known):
        categories, first = np.unique(keys[visits], return_index=True)
        begin = times[visits[first[np.searchsorted(categories, wanted[known])]]]
        end = times[visits[last[known]]]
        days = (of.targets.times[known] - end) / DAY
        usual = (end - begin) / DAY / np.maximum(count[known] - 1, 1)
        out[known, 0] = days
        out[known, 1] = np.divide(days, usual, out=np.zeros_like(days), where=usual > 0)
    return out
