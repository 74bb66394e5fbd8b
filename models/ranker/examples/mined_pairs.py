"""How a target is tied to a user's past by mined pairs: events whose item triggers it, and how strongly."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

SOURCES = ("item2item", "user2item")
MEASURES = 3
"""Of each source: triggers taken before, the best of their scores, the sum."""


class Triggers(NamedTuple):
    """The triggers of every item by source, end to end.

    Attributes:
        start: where the triggers of item ``i`` by source ``s`` begin, at ``s * items + i``; shape
            (sources * items + 1,).
        rows: item rows of the triggers, shape (pairs,).
        scores: of the pairs, shape (pairs,).
    """

    start: NDArray[np.int64]
    rows: NDArray[np.int32]
    scores: NDArray[np.float32]


def triggers_by_target(
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    trigger: NDArray[np.int64],
    score: NDArray[np.float32],
    items: int,
) -> Triggers:
    """Lays pairs out by source and target, the triggers of one ascending.

    Args:
        source: place in :data:`SOURCES`, shape (pairs,).
        target: item rows, shape (pairs,).
        trigger: item rows, shape (pairs,).
        score: shape (pairs,).
        items: number of items.
    """
    place = source * items + target
    order = np.lexsort((trigger, place))
    counts = np.bincount(place, minlength=len(SOURCES) * items)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Triggers(start, trigger[order].astype(np.int32), score[order].astype(np.float32))


def paired(
    targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64], triggers: Triggers
) -> NDArray[np.float32]:
    """What pairs tie each target to the events it may see; an item taken several times counts once.

    Args:
        targets: item rows, shape (n,).
        visible: how many of the oldest events each target may see, shape (n,).
        history: item rows of one user's events, oldest first, shape (h,).
        triggers: of all items.

    Returns:
        For each source in turn the :data:`MEASURES`, shape (n, sources * MEASURES).
    """
    items = (len(triggers.start) - 1) // len(SOURCES)
    taken, first = np.unique(history, return_index=True)
    out = np.zeros((len(targets), len(SOURCES) * MEASURES), np.float32)
    for source in range(len(SOURCES)):
        measures = out[:, source * MEASURES : (source + 1) * MEASURES]
        _paired(source * items + targets, visible, taken, first, *triggers, measures)
    return out


@numba.njit(cache=True, nogil=True)
def _paired(places, visible, taken, first, start, rows, scores, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    for n in range(len(places)):
        for pair in range(start[places[n]], start[places[n] + 1]):
            at = np.searchsorted(taken, rows[pair])
            if at < len(taken) and taken[at] == rows[pair] and first[at] < visible[n]:
                out[n, 0] += 1
                out[n, 1] = max(out[n, 1], scores[pair])
                out[n, 2] += scores[pair]
