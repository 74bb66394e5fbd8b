"""Numbers of distinct items that a user took, by how much they share with the target, in all and recently.

A user who bought one kind of milk a hundred times will hardly buy another, while a user who bought thirty different
yoghurts may buy a new one. Numbers of events do not show this difference, so each item counts once, at its first event.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.keys import category_keys, leading_keys, times_before
from models.ranker.examples.registry import feature
from models.ranker.examples.search_index import SearchIndex

LATELY = 100
"""Number of latest distinct items that count as recent; for the kind ``all``, the number of latest events instead."""


@feature
def distinct_items(of: Context) -> NDArray[np.int32]:
    """Distinct items in all, then distinct recent items, each for four kinds of item.

    The kinds are: all items, items of the target's category, with its sid_1, and with its sid_1 and sid_2. The number
    is 0 if the target has no category or code. Recent items are among the last :data:`LATELY` distinct items; in the
    kind of all items, they are the items whose first event is among the last :data:`LATELY` events.
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
    codes = index.codes[rows]
    return [category_keys(index.category[rows]), leading_keys(codes, 1), leading_keys(codes, 2)]
