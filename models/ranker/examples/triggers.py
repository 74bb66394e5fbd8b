"""Mined pairs in the search index: the triggers of every item by source."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.names import PAIR_SOURCES


class Triggers(NamedTuple):
    """The triggers of every item by source, concatenated (CSR layout).

    Attributes:
        start: entry ``s * items + i`` is the position of the first trigger of item ``i`` by source ``s``, shape
            (sources * items + 1,).
        rows: item rows of the triggers, shape (pairs,).
        scores: scores of the pairs, shape (pairs,).
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
    """Groups pairs by source and target; the triggers of a target are in ascending order.

    Args:
        source: position of each pair's source in :data:`schemas.names.PAIR_SOURCES`, shape (pairs,).
        target: item row of each pair's target, shape (pairs,).
        trigger: item row of each pair's trigger, shape (pairs,).
        score: score of each pair, shape (pairs,).
        items: number of items.
    """
    place = source * items + target
    order = np.lexsort((trigger, place))
    counts = np.bincount(place, minlength=len(PAIR_SOURCES) * items)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Triggers(start, trigger[order].astype(np.int32), score[order].astype(np.float32))
