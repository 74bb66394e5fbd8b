"""The k highest inner products of many targets with their visible events, compiled by numba.

A BLAS matrix product sums in an order that depends on the matrices' shapes, so equal events could get unequal scores,
and an event after a target could change the target's result. Here every inner product is summed in the order of the
dimensions, so a score depends only on its two vectors. Only one tile of scores and the best events so far of each
target are held in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
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
"""Number of scores compared with a border at once; rows of scores are padded by -inf to a multiple of it."""
HALVINGS = 8
"""Number of halvings of a bisection before it also tries single scores."""
TIERS = SIMILARITY_TIERS
SAME = 0.9999
"""Scores from this on mean the same content."""
FIRST = np.append(np.arange(1, TIERS - 2) / np.float32(TIERS - 2), SAME).astype(np.float32)
BELOW = np.array([-np.inf, 0, *np.nextafter(FIRST, np.float32(0)), np.inf], np.float32)
"""The largest number below each tier of scores, then infinity, shape (TIERS + 1,).

Tier 0 holds scores up to 0, tiers 1 to 14 are steps of 1/14, tier 15 begins at :data:`SAME`.
"""
U = np.uint64  # unsigned indices need no check for negative values, so that the loops compile to vector instructions


class Best(NamedTuple):
    """The best events of every target.

    Attributes:
        positions: positions of the events, padded with -1, shape (n, k).
        scores: scores of the events, padded with 0, shape (n, k).
        similar: number of visible events in each tier of score, see :data:`BELOW`, shape (n, TIERS).
    """

    positions: NDArray[np.int32]
    scores: NDArray[np.float32]
    similar: NDArray[np.int32]


def top_k(
    targets: NDArray[np.float32],
    visible: NDArray[np.int64],
    history: NDArray[np.float32],
    k: int,
) -> Best:
    """Finds the k best events of each target, best first; of events with equal scores the later comes first.

    Memory besides the result: a copy of 512 targets, a tile of 512 events, and ``2 * k`` scores and positions for each
    of the 512 targets.

    Args:
        targets: vectors of the targets, shape (n, d), with n at most :data:`TARGETS`.
        visible: number of events visible to each target, which are the oldest ones, ascending, shape (n,).
        history: vectors of the events, oldest first, shape (h, d).
        k: number of events to find, from 1 to h.
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
    above = np.zeros((rows, TIERS), np.int32)
    _search(padded, sees, history, BELOW, positions, scores, above)
    return Best(positions[:n], scores[:n], -np.diff(above[:n], append=np.int32(0)))


@compiled()
def _search(targets, visible, history, below, out_positions, out_scores, above):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    rows, width = targets.shape
    d, k = history.shape[1], out_positions.shape[1]
    flat = targets.reshape(rows * width)
    last = visible[rows - 1]
    # All rows take a tile's events in one room, and keep few of them: fresh memory costs more than the scores in it.
    room = _padded(2 * k + EVENTS)
    taken_scores, taken_positions = np.empty(room, np.float32), np.empty(room, np.int32)
    held_scores, held_positions = np.empty((rows, _padded(2 * k)), np.float32), np.empty((rows, 2 * k), np.int32)
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
            _score(flat, group, width, tile, _padded(seen), scores.reshape(ROWS * EVENTS))
            for i in range(ROWS):
                row = group + i
                seen = min(visible[row] - first, EVENTS)
                if seen <= 0:
                    continue
                of_row = scores[i, : _padded(seen)]
                of_row[seen:] = -np.inf
                _count(of_row, below, above[row])
                above[row, 0] += seen
                # The k-th best score so far lies in this tier, so what lies below it is not taken.
                border = max(threshold[row], below[_tier_of_kth(above[row], k)])
                count = held[row]
                taken_scores[:count], taken_positions[:count] = held_scores[row, :count], held_positions[row, :count]
                count = _take(of_row, first, border, taken_scores, taken_positions, count)
                if count > 2 * k:
                    threshold[row] = _cut(taken_scores, taken_positions, count, below[_tier_of_kth(above[row], k) :], k)
                    count = k
                held_scores[row, :count], held_positions[row, :count] = taken_scores[:count], taken_positions[:count]
                held[row] = count
    for row in range(rows):
        if held[row] > k:
            _cut(held_scores[row], held_positions[row], held[row], below[_tier_of_kth(above[row], k) :], k)
        count = min(held[row], k)
        held_scores[row, count : _padded(count)] = -np.inf
        _sort(held_scores[row], held_positions[row], count, out_scores[row], out_positions[row])


@compiled()
def _padded(count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    return (count + CHUNK - 1) // CHUNK * CHUNK


@compiled()
def _count(scores, below, above):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """For each tier but the lowest, adds the number of scores in it or above it.

    Counting the scores above each border takes less than half of the time of finding every score's tier, because it
    compiles to vector instructions.
    """
    for tier in range(1, len(above)):
        further = _above(scores, below[tier])
        if further == 0:
            break
        above[tier] += further


@compiled()
def _tier_of_kth(above, k):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """The highest tier that holds, with those above it, k scores; 0 if there are fewer."""
    tier = len(above) - 1
    while tier > 0 and above[tier] < k:
        tier -= 1
    return tier


@compiled(fastmath={"contract"})
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


@compiled(inline="always")
def _eight(x, i):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    return (
        x[i], x[i + U(1)], x[i + U(2)], x[i + U(3)], x[i + U(4)], x[i + U(5)], x[i + U(6)], x[i + U(7)]
    )  # fmt: skip


@compiled()
def _take(scores, first, border, held_scores, held_positions, held):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Appends a tile's events above the border, latest first; returns the number of events held."""
    place = U(held)
    for start in range(len(scores) - CHUNK, -1, -CHUNK):
        if _above(scores[start : start + CHUNK], border):
            for i in range(CHUNK):
                event = U(start + CHUNK - 1 - i)
                score = scores[event]
                held_scores[place] = score
                held_positions[place] = np.int32(first) + np.int32(event)
                place += U(score > border)
    return np.int64(place)


@compiled()
def _kth(scores, k, least, most):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Finds the k-th highest score, or a border with exactly k scores above it.

    By bisection. Where equal scores stand on both sides of the k-th, no border has k above it, and a bisection would go
    on to the last bit; so after some halvings it also tries the lowest score that is left.

    Args:
        scores: more than k scores, and -inf as padding.
        k: rank of the score.
        least: a number with at least k scores above it, or -inf if none is known.
        most: a number with fewer than k scores above it, or inf if none is known.

    Returns:
        The border and the number of scores above it.
    """
    low = _lowest_above(scores, least) if least == -np.inf else least
    high = scores.max() if most == np.inf else most
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


@compiled()
def _cut(scores, positions, count, below, k):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Keeps the k best scores in their order, the first ones of equal scores; returns the smallest score to beat.

    Args:
        scores: more than k scores, with room for padding.
        positions: their positions.
        count: number of scores.
        below: :data:`BELOW` from the tier of the k-th score on.
        k: number of scores to keep.
    """
    scores[count : _padded(count)] = -np.inf
    border, better = _kth(scores[: _padded(count)], k, below[0], below[1])
    ties, kept = k - better, U(0)
    for i in range(count):
        score = scores[i]
        equal = score == border and ties > 0
        scores[kept], positions[kept] = score, positions[i]
        kept += U(score > border or equal)
        ties -= equal
    return border


@compiled()
def _above(scores, border):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    above = np.int32(0)
    for i in range(len(scores)):
        above += np.int32(scores[i] > border)
    return above


@compiled(fastmath={"nnan", "nsz"})
def _lowest_above(scores, border):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    lowest = np.float32(np.inf)
    for i in range(len(scores)):
        lowest = min(lowest, scores[i] if scores[i] > border else np.float32(np.inf))
    return lowest


@compiled()
def _sort(scores, positions, count, out_scores, out_positions):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Sorts scores in descending order by counting the better scores of each; equal scores keep their order.

    The output holds -1 at positions without a score yet, so that of equal scores each finds the first free place.
    """
    among = scores[: _padded(count)]
    for i in range(count):
        place = U(_above(among, scores[i]))
        while out_positions[place] >= 0:
            place += U(1)
        out_scores[place], out_positions[place] = scores[i], positions[i]
