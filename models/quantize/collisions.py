"""Moves contents of a full SID to the nearest code that has room."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray


def move_to_free_codes(
    distances: NDArray[np.float32], own: NDArray[np.int32], load: NDArray[np.int64], cap: int
) -> NDArray[np.int32]:
    """Gives every content the nearest code with room, the smallest distance of all first.

    Args:
        distances: of contents of one prefix to the last level's codes, shape (n, size). Of two equal ones the earlier
            content goes first, then the lower code.
        own: the code that each content has and that is full, shape (n,).
        load: contents that each code holds already, shape (size,).
        cap: contents that a code may hold.

    Returns:
        Codes, shape (n,); a content keeps its own where no code has room.
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
