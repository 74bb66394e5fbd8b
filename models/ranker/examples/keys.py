"""How often a target's key, as its item or its leading codes, is among a user's events, whatever their number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def times_before(
    targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """How often each target's key is among its visible events, and the position of the last time.

    Args:
        targets: key of every target, negative where it has none, shape (n,).
        visible: how many of the oldest events each target may see, shape (n,).
        history: keys of one user's events, oldest first, shape (h,).

    Returns:
        Counts and positions, -1 where there is none, each of shape (n,).
    """
    keys, of_event = np.unique(history, return_inverse=True)
    span = len(history) + 1
    places = of_event * span + np.arange(len(history))  # by key, then oldest first
    order = np.argsort(places)
    wanted = np.searchsorted(keys, targets)
    known = (targets >= 0) & (np.append(keys, -1)[wanted] == targets)
    wanted = np.where(known, wanted, len(keys))
    first = np.searchsorted(places[order], wanted * span)
    end = np.searchsorted(places[order], wanted * span + visible)
    last = order[end - 1] if len(order) else np.zeros(len(end), np.int64)
    return (end - first).astype(np.int32), np.where(end > first, last, -1).astype(np.int32)


def leading_keys(codes: NDArray[np.int32], levels: int) -> NDArray[np.int64]:
    """One number for the leading codes of an item, -1 where it has no such codes; shape (n,).

    Args:
        codes: semantic IDs + 1, 0 where there is none, shape (n, 3).
        levels: how many of them count.
    """
    leading = codes[:, :levels].astype(np.int64)
    key = np.zeros(len(codes), np.int64)
    for level in range(levels):
        key = key * (1 << 21) + leading[:, level]
    return np.where((leading > 0).all(1), key, -1)
