"""Counts a user's events with the same key as a target, for example the same item or the same leading codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled


def times_before(
    targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number of visible events with each target's key, and the position of the last of them.

    Args:
        targets: key of every target, negative for none, shape (n,).
        visible: number of events visible to each target, which are the oldest ones, shape (n,).
        history: keys of one user's events, oldest first, shape (h,).

    Returns:
        Numbers of events, shape (n,); positions of the last event, -1 for none, shape (n,).
    """
    order = np.argsort(history, kind="stable")
    numbers, last = np.empty(len(targets), np.int32), np.empty(len(targets), np.int32)
    _count(targets, visible, history[order], order, numbers, last)
    return numbers, last


@compiled()
def _count(targets, visible, keys, order, numbers, last):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Counts by two searches in the events sorted by key, then oldest first: ``keys``, at positions ``order``."""
    for row in range(len(targets)):
        key, first, end = targets[row], 0, len(keys)
        while first < end:
            middle = (first + end) // 2
            if keys[middle] < key:
                first = middle + 1
            else:
                end = middle
        start, end = first, len(keys)
        while first < end:
            middle = (first + end) // 2
            if keys[middle] == key and order[middle] < visible[row]:
                first = middle + 1
            else:
                end = middle
        numbers[row] = first - start if key >= 0 else 0
        last[row] = order[first - 1] if numbers[row] else -1


def leading_keys(codes: NDArray[np.int32], levels: int) -> NDArray[np.int64]:
    """One integer per distinct combination of leading codes, -1 for an item without codes; shape (n,).

    Args:
        codes: semantic-ID codes + 1, 0 for none, shape (n, 3).
        levels: number of leading codes.
    """
    keys = np.empty(len(codes), np.int64)
    _join(codes, levels, keys)
    return keys


@compiled()
def _join(codes, levels, keys):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    for row in range(len(codes)):
        key = 0
        for level in range(levels):
            if codes[row, level] <= 0:
                key = -1
                break
            key = key * (1 << 21) + codes[row, level]
        keys[row] = key


def category_keys(category: NDArray[np.int64]) -> NDArray[np.int64]:
    """A key of each item's category, -1 where it has none; shape (n,).

    Args:
        category: a hash of the category, 0 where an item has none, shape (n,).
    """
    unsigned = category & np.iinfo(np.int64).max  # a hash may be negative, a key may not
    return np.where(category == 0, -1, unsigned)
