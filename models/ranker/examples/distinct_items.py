"""How many different items of a target's kind a user tried, in all and lately.

Who bought one milk a hundred times will hardly take another; who took thirty yoghurts may take the next. Counts of
events cannot tell the two apart, so here every item counts once, at its first time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.counts import leading_keys, times_before
from models.ranker.examples.targets import Catalogue

LATELY = 100
"""Different items that count as the latest; so many latest events are looked through for first times."""
KINDS = 4
"""All items, those of the target's category, those that share its sid_1, those that share its sid_1 and sid_2."""
MEASURES = 2 * KINDS
"""Items tried of every kind, then those of the latest of them; for all items, first times in the latest events."""


def tried(
    targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64], catalogue: Catalogue
) -> NDArray[np.int32]:
    """The :data:`MEASURES` of every target.

    Args:
        targets: item rows, shape (n,).
        visible: how many of the oldest events each target may see, shape (n,).
        history: item rows of one user's events, oldest first, shape (h,).
        catalogue: with the items' categories and codes.

    Returns:
        0 of the kinds that a target has no category or code for, shape (n, MEASURES).
    """
    first = np.sort(np.unique(history, return_index=True)[1])
    items = np.searchsorted(first, visible)
    before = np.maximum(items - LATELY, 0)
    whole, lately = [items], [items - np.searchsorted(first, visible - LATELY)]
    for of_target, of_item in zip(_kinds(targets, catalogue), _kinds(history[first], catalogue), strict=True):
        upto, earlier = (times_before(of_target, end, of_item)[0] for end in (items, before))
        whole.append(upto)
        lately.append(upto - earlier)
    return np.stack([*whole, *lately], axis=1).astype(np.int32)


def _kinds(rows: NDArray[np.int64], catalogue: Catalogue) -> list[NDArray[np.int64]]:
    """A key of every kind but all, -1 where an item has none; each of shape (n,)."""
    category, codes = catalogue.category[rows], catalogue.codes[rows]
    unsigned = category & np.iinfo(np.int64).max  # a hash may be negative, a key may not
    return [np.where(category == 0, -1, unsigned), leading_keys(codes, 1), leading_keys(codes, 2)]
