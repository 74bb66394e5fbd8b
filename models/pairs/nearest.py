"""For each event of a user: the user's last positive events before it, and the one whose item is nearest to its item.

QARM V1's rule for user-to-item pairs (arXiv 2411.11739): the trigger of a clicked target is the item of the user's last
50 positives that lies nearest to it in the space of an ID model.

Both functions take the events of many users, grouped by user and sorted by time. Events with equal times (a basket)
have no order: none of them counts as before another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled


@compiled()
def _history(users, times, window):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """First and end position of each event's history: the user's last ``window`` events strictly before the event."""
    begin, end = np.zeros(users.shape[0], np.int64), np.zeros(users.shape[0], np.int64)
    user_start, tie_start = 0, 0
    for p in range(1, users.shape[0]):
        if users[p] != users[p - 1]:
            user_start = tie_start = p
        elif times[p] != times[p - 1]:
            tie_start = p
        begin[p], end[p] = max(user_start, tie_start - window), tie_start
    return begin, end


@compiled()
def nearest_before(  # noqa: PLR0917
    users: NDArray[np.int64],
    times: NDArray[np.int64],
    items: NDArray[np.int32],
    contents: NDArray[np.int32],
    vectors: NDArray[np.float32],
    window: int,
    first: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Finds, for each event, the event with the nearest item among the user's last ``window`` events strictly before.

    Args:
        users: user of each event, equal users adjacent, shape (n,).
        times: ascending within a user, shape (n,).
        items: item of each event, shape (n,).
        contents: content of each event's item, shape (n,). Events with the target's content are skipped.
        vectors: unit vectors of the events' items, shape (n, d).
        window: number of earlier events that are searched.
        first: events before this position only serve as history and get no result.

    Returns:
        Position of the nearest event, or -1, shape (n - first,); the latest event wins a tie. The inner product of its
        vector with the target's, shape (n - first,).
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


@compiled()
def recent_before(  # noqa: PLR0917
    users: NDArray[np.int64],
    times: NDArray[np.int64],
    items: NDArray[np.int32],
    length: int,
    first: int,
) -> NDArray[np.int32]:
    """Lists, for each event, the items of the user's last ``length`` events strictly before it, latest first.

    Args:
        users: user of each event, equal users adjacent, shape (n,).
        times: ascending within a user, shape (n,).
        items: item of each event, shape (n,).
        length: number of earlier events that are listed.
        first: events before this position only serve as history and get no result.

    Returns:
        Items, padded with -1, shape (n - first, length).
    """
    n = users.shape[0]
    recent = np.full((n - first, length), -1, np.int32)
    begin, end = _history(users, times, length)
    for p in range(first, n):
        for place in range(end[p] - begin[p]):
            recent[p - first, place] = items[end[p] - 1 - place]
    return recent


def carry_from(users: NDArray[np.int64], times: NDArray[np.int64], window: int) -> int:
    """Position from which a chunk's events must be kept, because they may be history for the next chunk.

    Args:
        users: user of each event, shape (n,), n at least 1.
        times: time of each event, shape (n,).
        window: number of earlier events that a history holds.
    """
    begin, _ = _history(users, times, window)
    return int(begin[-1])
