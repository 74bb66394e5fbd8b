"""What a user did before each event: the last positives, and the one of them nearest to the event's item.

QARM V1's rule for user-to-item pairs (arXiv 2411.11739): the trigger of a clicked target is the item of the user's last
50 positives that lies nearest to it in the space of an ID model.

Both functions take the events of many users one after the other, each user's by time. Events of one time (a basket)
have no order among them: none is before another.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, nogil=True)
def _history(users, times, window):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Where each event's history begins and ends: the user's last ``window`` events strictly before it."""
    begin, end = np.zeros(users.shape[0], np.int64), np.zeros(users.shape[0], np.int64)
    user_start, tie_start = 0, 0
    for p in range(1, users.shape[0]):
        if users[p] != users[p - 1]:
            user_start = tie_start = p
        elif times[p] != times[p - 1]:
            tie_start = p
        begin[p], end[p] = max(user_start, tie_start - window), tie_start
    return begin, end


@numba.njit(cache=True, nogil=True)
def nearest_before(  # noqa: PLR0917
    users: NDArray[np.int64],
    times: NDArray[np.int64],
    items: NDArray[np.int32],
    contents: NDArray[np.int32],
    vectors: NDArray[np.float32],
    window: int,
    first: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each event, where among the user's last ``window`` events strictly before it the nearest item lies.

    Args:
        users: shape (n,), equal values together.
        times: shape (n,), ascending within a user.
        items: shape (n,).
        contents: events of the same content as the target are passed over, shape (n,).
        vectors: of the events' items, unit length, shape (n, d).
        window: events looked back on.
        first: events before this position are history only.

    Returns:
        Position of the nearest, -1 where there is none, shape (n - first,); of equally near ones the latest. Its inner
        product with the target, same shape.
    """
    n = users.shape[0]
    found = np.full(n - first, -1, np.int64)
    similarity = np.zeros(n - first, np.float32)
    begin, end = _history(users, times, window)
    for p in range(first, n):
        for q in range(end[p] - 1, begin[p] - 1, -1):
            if items[q] == items[p] or contents[q] == contents[p]:
                continue
            product = np.float32(0)
            for k in range(vectors.shape[1]):
                product += vectors[p, k] * vectors[q, k]
            if found[p - first] < 0 or product > similarity[p - first]:
                found[p - first], similarity[p - first] = q, product
    return found, similarity


@numba.njit(cache=True, nogil=True)
def recent_before(  # noqa: PLR0917
    users: NDArray[np.int64],
    times: NDArray[np.int64],
    items: NDArray[np.int32],
    length: int,
    first: int,
) -> NDArray[np.int32]:
    """For each event, the items of the user's last ``length`` events strictly before it, latest first, padded by -1.

    Args:
        users: shape (n,), equal values together.
        times: shape (n,), ascending within a user.
        items: shape (n,).
        length: events looked back on.
        first: events before this position are history only.

    Returns:
        Shape (n - first, length).
    """
    n = users.shape[0]
    recent = np.full((n - first, length), -1, np.int32)
    begin, end = _history(users, times, length)
    for p in range(first, n):
        for place in range(end[p] - begin[p]):
            recent[p - first, place] = items[end[p] - 1 - place]
    return recent


def carry_from(users: NDArray[np.int64], times: NDArray[np.int64], window: int) -> int:
    """From where on a chunk's events may still be history of the next chunk's.

    Args:
        users: shape (n,), n at least 1.
        times: shape (n,).
        window: events looked back on.
    """
    begin, _ = _history(users, times, window)
    return int(begin[-1])
