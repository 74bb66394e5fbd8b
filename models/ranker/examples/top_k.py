"""The k highest inner products of many targets with their visible events, compiled by numba.

A BLAS matrix product sums in an order that depends on the matrices' shapes, so equal events could get unequal scores,
and an event after a target could change the target's result. Here every inner product is summed in the order of the
dimensions, so a score depends only on its two vectors. Only one tile of scores and the best events so far of each
target are held in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from schemas.features import SIMILARITY_TIERS

TARGETS = 512
"""Number of targets that are scored with a tile of events while the tile is in the cache."""
EVENTS = 512
"""Number of events in a tile."""
UNROLL = 8
"""Number of dimensions summed per loop iteration; vectors are padded to a multiple of it."""
ROWS = 4
"""Number of targets scored at once."""
CHUNK = 32
"""Number of scores compared with the threshold at once."""
HALVINGS = 8
"""Number of halvings of a bisection before it also tries single scores."""
TIERS = SIMILARITY_TIERS
U = np.uint64  # unsigned indices need no check for negative values, so that the loops compile to vector instructions


class Best(NamedTuple):
    """The best events of every target.

    Attributes:
        positions: positions of the events, padded with -1, shape (n, k).
        scores: scores of the events, padded with 0, shape (n, k).
        similar: number of visible events in each tier of score, shape (n, TIERS), or (n, 0) if not counted.
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
    """Finds the k best events of each target, best first; of events with equal scores the later comes first.

    Memory besides the result: a copy of 512 targets, a tile of 512 events, and ``2 * k + 512`` scores and positions for
    each of the 512 targets.

    Args:
        targets: vectors of the targets, shape (n, d), with n at most :data:`TARGETS`.
        visible: number of events visible to each target, which are the oldest ones, ascending, shape (n,).
        history: vectors of the events, oldest first, shape (h, d).
        k: number of events to find, from 1 to h.
        counts: whether visible events are counted by the tier of their score.
    """
    n, d = targets.shape
    rows, width = -(-n // ROWS) * ROWS, -(-d // UNROLL) * UNROLL
    padded = np.zeros((rows, width), np.float32)
    padded[:n, :d] = targets
    # Padding rows of the last group get the last target's visible events; their results are dropped.
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
    # Tiles are processed from the latest to the oldest, so that of equal scores the later event comes first.
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
                    _count_tiers(scores[i, : max(seen, 0)], similar[row])
                if held[row] == 0 and seen > k:
                    border, above = _kth(scores[i, :seen], k)
                    threshold[row] = border if above == k else _below(border)
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


@numba.njit(cache=True, nogil=True)
def _count_tiers(scores, counts):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Adds the scores in each tier: tier 0 up to 0, 1 to 14 in steps of 1/14 up to 1, tier 15 for the same content.

    Counting the scores above each border takes less than half of the time of finding every score's tier, because it
    compiles to vector instructions.
    """
    steps = TIERS - 2
    from_tier = _above(scores, np.float32(0))
    counts[0] += len(scores) - from_tier
    for step in range(1, steps):
        further = np.int32(0)
        for i in range(len(scores)):
            further += np.int32(scores[i] * np.float32(steps) >= np.float32(step))
        counts[step] += from_tier - further
        from_tier = further
    same = np.int32(0)
    for i in range(len(scores)):
        same += np.int32(scores[i] >= np.float32(0.9999))
    counts[steps] += from_tier - same
    counts[steps + 1] += same


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _score(targets, group, d, tile, width, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Scores four targets with a tile's first ``width`` events by fused multiply-adds in the order of dimensions."""
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
    """Appends a tile's events above the threshold, latest first; returns the number of events held."""
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
    """Finds the k-th highest score, or a border with exactly k scores above it.

    By bisection. Where equal scores stand on both sides of the k-th, no border has k above it, and a bisection would go
    on to the last bit; so after some halvings it also tries the lowest score that is left.

    Returns the border and the number of scores above it.
    """
    low, high = _range(scores)
    above = _above(scores, low)
    if above <= k:
        return low, above
    halvings = 0
    while True:  # more than k are above low, fewer than k above high
        middle = low + (high - low) * np.float32(0.5)
        if halvings >= HALVINGS or not low < middle < high:
            low = _lowest_above(scores, low)
            above = _above(scores, low)
            if above <= k:
                return low, above
        if low < middle < high:
            halvings += 1
            above = _above(scores, middle)
            if above > k:
                low = middle
            elif above < k:
                high = middle
            else:
                return middle, above


@numba.njit(cache=True, nogil=True)
def _cut(scores, positions, count, k):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Keeps the k best scores in their order, the first ones of equal scores; returns the smallest score to beat."""
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


@numba.njit(cache=True, nogil=True)
def _below(border):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """The next lower number; of 0 it would be one that some processes take for 0."""
    return np.float32(-np.inf) if border == 0 else np.nextafter(border, np.float32(-np.inf))


@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _lowest_above(scores, border):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    lowest = np.float32(np.inf)
    for i in range(len(scores)):
        lowest = min(lowest, scores[i] if scores[i] > border else np.float32(np.inf))
    return lowest


@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _range(scores):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    low, high = scores[0], scores[0]
    for i in range(len(scores)):
        low = min(low, scores[i])
        high = max(high, scores[i])
    return low, high


@numba.njit(cache=True, nogil=True)
def _sort(scores, positions, out_scores, out_positions):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Sorts scores in descending order by counting the better scores of each; equal scores keep their order.

    The output holds -1 at positions without a score yet, so that of equal scores each finds the first free place.
    """
    for i in range(len(scores)):
        place = U(_above(scores, scores[i]))
        while out_positions[place] >= 0:
            place += U(1)
        out_scores[place], out_positions[place] = scores[i], positions[i]
