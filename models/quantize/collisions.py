"""Resolves collisions: moves contents out of full SIDs to the nearest last-level code with free capacity."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray


def move_to_free_codes(
    distances: NDArray[np.float32], own: NDArray[np.int32], load: NDArray[np.int64], cap: int
) -> NDArray[np.int32]:
    """Assigns each content to the nearest code with free capacity, greedily in the order of distances.

    Args:
        distances: distances of the contents of one prefix to the last level's codes, shape (n, size). Ties are broken
            in favour of the earlier content, then of the lower code.
        own: current code of each content, which is full, shape (n,).
        load: number of contents that each code already has, shape (size,).
        cap: largest number of contents of a code.

    Returns:
        Codes, shape (n,); a content keeps its current code if no code has free capacity.
    """
    room = np.maximum(cap - load, 0)
    left = int(room.sum())
    order = np.argsort(distances, axis=1, kind="stable")
    codes = own.copy()
    waiting = [(distances[i, order[i, 0]], i, 0) for i in range(len(own))]
    heapq.heapify(waiting)
    while waiting and left:
        _, content, place = heapq.heappop(waiting)
        code = order[content, place]
        if room[code] > 0:
            room[code] -= 1
            left -= 1
            codes[content] = code
        elif place + 1 < order.shape[1]:
            heapq.heappush(waiting, (distances[content, order[content, place + 1]], content, place + 1))
    return codes
