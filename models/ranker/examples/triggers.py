"""Mined pairs as the search index holds them: the triggers of every item by source."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.names import PAIR_SOURCES


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
    *,
    items: int,
) -> Triggers:
    """Lays pairs out by source and target, the triggers of one ascending.

    Args:
        source: place in :data:`schemas.names.PAIR_SOURCES`, shape (pairs,).
        target: item rows, shape (pairs,).
        trigger: item rows, shape (pairs,).
        score: shape (pairs,).
        items: number of items.
    """
    place = source * items + target
    order = np.lexsort((trigger, place))
    counts = np.bincount(place, minlength=len(PAIR_SOURCES) * items)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Triggers(start, trigger[order].astype(np.int32), score[order].astype(np.float32))
