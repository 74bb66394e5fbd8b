"""The k highest inner products of many targets with the events that each may see, compiled.

A matrix product of BLAS adds in an order that depends on the shapes: equal events then score unequal, and an event that
comes after a target changes what is found for it. Here every inner product is summed in the order of the dimensions,
so a score depends on its two vectors alone, and nothing is held but a tile of scores and each target's best so far.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from schemas.features import SIMILARITY_TIERS

TARGETS = 512
"""Targets that share a tile of events while it is in the cache."""
EVENTS = 512
"""Events of a tile."""
UNROLL = 8
"""Dimensions are summed so many at a time; vectors are padded to a multiple of them."""
ROWS = 4
"""Targets that are scored at once."""
CHUNK = 32
"""Scores that are compared with the threshold at once."""
TIERS = SIMILARITY_TIERS
U = np.uint64  # an unsigned index is not checked for being negative, so the loops become vector instructions


class Best(NamedTuple):
    """The best events of every target.

    Attributes:
        positions: -1 where there are no more, shape (n, k).
        scores: 0 where there are no more, shape (n, k).
        similar: visible events by the tier of their score, shape (n, TIERS); of width 0 where they are not counted.
    """

    positions: NDArray[np.int32]
    scores: NDArray[np.float32]
    similar: NDArray[np.int32]


def top_k(
    targets: NDArray[np.float32],
    visible: NDArray[np.int64],
    history: NDArray[np.float32],
    k: int,
    *,
    counts: bool = False,
) -> Best:
    """Positions and scores of the k best events of each target, best first; of equal ones the later first.

    Memory: beside the result, a copy of 512 targets, a tile of 512 events, and ``2 * k + 512`` scores with their
    positions for each of the 512.

    Args:
        targets: shape (n, d); ``n`` at most :data:`TARGETS`.
        visible: how many of the oldest events each target may see, ascending, shape (n,).
        history: oldest first, shape (h, d).
        k: at most ``h``, at least 1.
        counts: whether events are counted by the tier of their score.
    """
    n, d = targets.shape
    rows, width = -(-n // ROWS) * ROWS, -(-d // UNROLL) * UNROLL
    padded = np.zeros((rows, width), np.float32)
    padded[:n, :d] = targets
    # Rows that pad the last group see what the last target sees, and are thrown away.
    sees = np.full(rows, visible[-1], np.int64)
    sees[:n] = visible
    positions = np.full((rows, k), -1, np.int32)
    scores = np.zeros((rows, k), np.float32)
    similar = np.zeros((rows, TIERS if counts else 0), np.int32)
    _search(padded, sees, history, positions, scores, similar)
    return Best(positions[:n], scores[:n], similar[:n])


@numba.njit(cache=True, nogil=True)
def _search(targets, visible, history, out_positions, out_scores, similar):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    rows, width = targets.shape
    d, k = history.shape[1], out_positions.shape[1]
    flat = targets.reshape(rows * width)
    last = visible[rows - 1]
    room = min(2 * k + EVENTS, last)
    held_scores, held_positions = np.empty((rows, room), np.float32), np.empty((rows, room), np.int32)
    held = np.zeros(rows, np.int64)
    threshold = np.full(rows, -np.inf, np.float32)
    tile = np.zeros(width * EVENTS, np.float32)
    scores = np.empty((ROWS, EVENTS), np.float32)
    # From the latest tile to the oldest: of equal scores the later event is met first.
    for first in range((last - 1) // EVENTS * EVENTS, -1, -EVENTS):
        for event in range(first, min(first + EVENTS, last)):
            for j in range(d):
                tile[j * EVENTS + event - first] = history[event, j]
        for group in range(0, rows, ROWS):
            seen = min(visible[group + ROWS - 1] - first, EVENTS)
            if seen <= 0:
                continue
            _score(flat, group, width, tile, -(-seen // 16) * 16, scores.reshape(ROWS * EVENTS))
            for i in range(ROWS):
                row = group + i
                seen = min(visible[row] - first, EVENTS)
                if similar.shape[1]:
                    for event in range(seen):
                        similar[row, tier_of(scores[i, event])] += 1
                if held[row] == 0 and seen > k:
                    border, above = _kth(scores[i, :seen], k)
                    if above == k:
                        threshold[row] = border
                count = _take(scores[i], seen, first, threshold[row], held_scores[row], held_positions[row], held[row])
                if count > 2 * k:
                    threshold[row] = _cut(held_scores[row], held_positions[row], count, k)
                    count = k
                held[row] = count
    for row in range(rows):
        if held[row] > k:
            _cut(held_scores[row], held_positions[row], held[row], k)
        count = min(held[row], k)
        _sort(held_scores[row, :count], held_positions[row], out_scores[row], out_positions[row])


@numba.njit(cache=True, nogil=True, inline="always")
def tier_of(score):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """The range of a similarity: 0 up to 0, then steps of a fourteenth up to 1, and 15 for the same content."""
    if score >= np.float32(0.9999):
        return TIERS - 1
    return 0 if score <= 0 else 1 + min(int(score * np.float32(TIERS - 2)), TIERS - 3)


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _score(targets, group, d, tile, width, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Scores of four targets with a tile's first ``width`` events; fused multiply-adds, in the order of dimensions."""
    e1, e2, e3 = U(EVENTS), U(2 * EVENTS), U(3 * EVENTS)
    e4, e5, e6, e7 = U(4 * EVENTS), U(5 * EVENTS), U(6 * EVENTS), U(7 * EVENTS)
    out[:] = 0
    for j in range(0, d, UNROLL):
        at = U(j * EVENTS)
        a0, a1, a2, a3, a4, a5, a6, a7 = _eight(targets, U(group * d + j))
        b0, b1, b2, b3, b4, b5, b6, b7 = _eight(targets, U((group + 1) * d + j))
        c0, c1, c2, c3, c4, c5, c6, c7 = _eight(targets, U((group + 2) * d + j))
        d0, d1, d2, d3, d4, d5, d6, d7 = _eight(targets, U((group + 3) * d + j))
        for event in range(width):
            e = U(event)
            x = at + e
            x0, x1, x2, x3 = tile[x], tile[x + e1], tile[x + e2], tile[x + e3]
            x4, x5, x6, x7 = tile[x + e4], tile[x + e5], tile[x + e6], tile[x + e7]
            s, t, u, v = out[e], out[e1 + e], out[e2 + e], out[e3 + e]
            out[e] = s + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3 + a4 * x4 + a5 * x5 + a6 * x6 + a7 * x7
            out[e1 + e] = t + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3 + b4 * x4 + b5 * x5 + b6 * x6 + b7 * x7
            out[e2 + e] = u + c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3 + c4 * x4 + c5 * x5 + c6 * x6 + c7 * x7
            out[e3 + e] = v + d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3 + d4 * x4 + d5 * x5 + d6 * x6 + d7 * x7


@numba.njit(cache=True, nogil=True, inline="always")
def _eight(x, i):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    return (
        x[i], x[i + U(1)], x[i + U(2)], x[i + U(3)], x[i + U(4)], x[i + U(5)], x[i + U(6)], x[i + U(7)]
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _take(scores, seen, first, threshold, held_scores, held_positions, held):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Appends the events above the threshold, latest first; how many are held then."""
    place = U(held)
    for start in range((seen - 1) // CHUNK * CHUNK, -1, -CHUNK):
        count = min(CHUNK, seen - start)
        if _above(scores[start : start + count], threshold):
            for i in range(count):
                event = U(start + count - 1 - i)
                score = scores[event]
                held_scores[place] = score
                held_positions[place] = np.int32(first) + np.int32(event)
                place += U(score > threshold)
    return np.int64(place)


@numba.njit(cache=True, nogil=True)
def _kth(scores, k):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """A border that at most k scores are above, and that with those equal to it at least k reach, by halving."""
    low, high = _range(scores)
    above = _above(scores, low)
    if above <= k:
        return low, above
    while True:  # more than k are above low, fewer than k above high
        middle = low + (high - low) * np.float32(0.5)
        if not low < middle < high:  # no number between them: the k-th best is high
            return high, _above(scores, high)
        above = _above(scores, middle)
        if above > k:
            low = middle
        elif above < k:
            high = middle
        else:
            return middle, above


@numba.njit(cache=True, nogil=True)
def _cut(scores, positions, count, k):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Keeps the k best of more, of equal ones the first, in their order; a border that no other is above."""
    border, above = _kth(scores[:count], k)
    ties, kept = k - above, U(0)
    for i in range(count):
        score = scores[i]
        equal = score == border and ties > 0
        scores[kept], positions[kept] = score, positions[i]
        kept += U(score > border or equal)
        ties -= equal
    return border


@numba.njit(cache=True, nogil=True)
def _above(scores, border):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    above = np.int32(0)
    for i in range(len(scores)):
        above += np.int32(scores[i] > border)
    return above


@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _range(scores):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    low, high = scores[0], scores[0]
    for i in range(len(scores)):
        low = scores[i] if scores[i] < low else low
        high = scores[i] if scores[i] > high else high
    return low, high


@numba.njit(cache=True, nogil=True)
def _sort(scores, positions, out_scores, out_positions):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Writes each score to the place that the number of better ones gives it; of equal ones the first is better."""
    for i in range(len(scores)):
        score, place = scores[i], _above(scores, scores[i])
        for before in range(i):
            place += np.int32(scores[before] == score)
        out_scores[U(place)], out_positions[U(place)] = score, positions[i]
