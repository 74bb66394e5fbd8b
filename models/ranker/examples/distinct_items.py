"""How many distinct items of a target's kind a user took, in all and lately.

Who bought one milk a hundred times will hardly take another; who took thirty yoghurts may take the next. Counts of
events cannot tell the two apart, so here every item counts once, at its first time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.keys import leading_keys, times_before
from models.ranker.examples.registry import feature
from models.ranker.examples.search_index import SearchIndex

LATELY = 100
"""Distinct items that count as the latest; so many latest events are looked through for first times."""


@feature
def distinct_items(of: Context) -> NDArray[np.int32]:
    """Items of every kind, then the latest of them: all, of the target's category, its sid_1, its sid_1 and sid_2.

    0 of the kinds that a target has no category or code for. Of all items, the latest are first times in the latest
    events.
    """
    history, visible = of.past.rows, of.visible
    first = np.sort(np.unique(history, return_index=True)[1])
    items = np.searchsorted(first, visible)
    before = np.maximum(items - LATELY, 0)
    whole, lately = [items], [items - np.searchsorted(first, visible - LATELY)]
    for of_target, of_item in zip(_kinds(of.targets.rows, of.index), _kinds(history[first], of.index), strict=True):
        upto, earlier = (times_before(of_target, end, of_item)[0] for end in (items, before))
        whole.append(upto)
        lately.append(upto - earlier)
    return np.stack([*whole, *lately], axis=1).astype(np.int32)


def _kinds(rows: NDArray[np.int64], index: SearchIndex) -> list[NDArray[np.int64]]:
    """A key of every kind but all, -1 where an item has none; each of shape (n,)."""
    category, codes = index.category[rows], index.codes[rows]
    unsigned = category & np.iinfo(np.int64).max  # a hash may be negative, a key may not
    return [np.where(category == 0, -1, unsigned), leading_keys(codes, 1), leading_keys(codes, 2)]
