"""Weights and weighted values of target attention over the events that candidates found, compiled by numba."""

from __future__ import annotations

import numpy as np

from models.compiled import compiled

F32 = np.float32
LANES = 8
"""Floats of a vector register."""
LOWEST = F32(-1e38)
"""Logit of padding."""


# fastmath may reorder the sums, but the order is the same for every candidate.
@compiled(fastmath={"reassoc", "contract", "nsz"})
def mix_by_index(query, keys, values, level_keys, level_values, places, scores, mix, codes, of_events, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, PLR0917
    """Weighted values of the events at ``places``.

    Row 0 of keys and values is the extra event, row 1 padding, row 1 + i event i.
    """
    n, (_, heads, each) = len(query), keys.shape
    own = query.shape[1] // heads  # what is above it is padding to whole registers
    asked, mixed = np.zeros((heads, each), np.float32), np.empty(each, np.float32)
    length, levels = places.shape[1], len(level_keys)
    shared = np.zeros(length, np.int64)
    weights, bits = _room_for_weights(heads, length)
    powers = bits.view(np.float32)
    by_level, by_shared = np.empty((levels, heads), np.float32), np.empty(levels, np.float32)
    for c in range(n):
        row = c if len(places) > 1 else 0
        weights[:] = LOWEST
        for h in range(heads):
            for j in range(own):
                asked[h, j] = query[c, h * own + j]
            for level in range(levels):
                by_level[level, h] = _product(asked[h], level_keys[level, h])
            weights[h, length] = _product(asked[h], keys[0, h])
        for i in range(length):
            event = places[row, i]
            if event == 0:
                continue
            shared[i] = shared_codes(codes, c, of_events, event)
            for h in range(heads):
                logit = _product(asked[h], keys[1 + event, h]) + by_level[shared[i], h]
                if len(mix):
                    score = scores[c, i]
                    logit += mix[0, h] * score + mix[1, h] * score * logit
                weights[h, i] = logit
        _below_highest(weights)
        _exponentials(weights.reshape(weights.size), bits, powers)
        for h in range(heads):
            total = weights[h, length]
            by_shared[:] = 0
            for j in range(each):
                mixed[j] = total * values[0, h, j]
            for i in range(length):
                event = places[row, i]
                if event > 0:
                    weight = weights[h, i]
                    total += weight
                    by_shared[shared[i]] += weight
                    for j in range(each):
                        mixed[j] += weight * values[1 + event, h, j]
            for level in range(levels):
                for j in range(each):
                    mixed[j] += by_shared[level] * level_values[level, h, j]
            for j in range(own):
                out[c, h * own + j] = mixed[j] / total


@compiled(fastmath={"reassoc", "contract", "nsz"})
def weights_of_found(logits, levels, places, scores, mix, codes, of_events):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, PLR0917
    """Replaces logits by weights, 0 for events that a candidate did not find; shape (heads, n, columns).

    Column 0 is the extra event, column 1 padding, column 1 + i event i; the last ``levels`` are for shared codes.
    """
    heads, n, columns = logits.shape
    length, first = places.shape[1], columns - levels
    column, of_level = np.empty(length, np.int64), np.empty(length, np.int64)
    weights, bits = _room_for_weights(heads, length)
    powers = bits.view(np.float32)
    for c in range(n):
        row = c if len(places) > 1 else 0
        for i in range(length):
            event = places[row, i]
            column[i] = 1 + event
            of_level[i] = first + shared_codes(codes, c, of_events, event) if event > 0 else 1
        weights[:] = LOWEST
        for h in range(heads):
            of = logits[h, c]
            of[1] = LOWEST
            for i in range(length):
                weights[h, i] = of[column[i]] + of[of_level[i]]
            if len(mix):
                for i in range(length):
                    weights[h, i] += mix[0, h] * scores[c, i] + mix[1, h] * scores[c, i] * weights[h, i]
            weights[h, length] = of[0]
        _below_highest(weights)
        _exponentials(weights.reshape(weights.size), bits, powers)
        for h in range(heads):
            of, total = logits[h, c], weights[h].sum()
            of[:] = 0
            of[0] = weights[h, length] / total
            for i in range(length):
                weight = weights[h, i] * (F32(1) / total)
                of[column[i]] += weight
                of[of_level[i]] += weight
            of[1] = 0


@compiled(inline="always")
def _room_for_weights(heads, length):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Rows for the weights of a candidate's events and of the extra event, padded to whole registers; powers of two."""
    padded = (length // LANES + 1) * LANES
    return np.empty((heads, padded), np.float32), np.empty(heads * padded, np.int32)


@compiled(fastmath={"reassoc", "nsz", "nnan"})
def _below_highest(logits):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Subtracts the highest logit of each head."""
    heads, columns = logits.shape
    for h in range(heads):
        top = logits[h, 0]
        for i in range(columns):
            top = max(top, logits[h, i])
        for i in range(columns):
            logits[h, i] -= top


@compiled(fastmath={"reassoc", "contract", "nsz"}, inline="always")
def _product(one, other):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    total = F32(0)
    for j in range(len(one)):
        total += one[j] * other[j]
    return total


@compiled(fastmath={"contract", "nsz"})
def _exponentials(values, bits, powers):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Exponentials of numbers up to 0, in place: 2^k by the bits of a float, the rest by Cephes' polynomial of expf.

    ``np.exp`` of one number at a time takes eight times as long, and with keys and values made once it would be a
    quarter of the attention's time. The relative error is below 2e-7.
    """
    for i in range(len(values)):
        value = max(values[i], F32(-87.0))
        whole = np.floor(value * F32(1.4426950408889634) + F32(0.5))
        rest = value - whole * F32(0.693359375) + whole * F32(2.12194440e-4)
        power = F32(1.9875691500e-4) * rest + F32(1.3981999507e-3)
        power = power * rest + F32(8.3334519073e-3)
        power = power * rest + F32(4.1665795894e-2)
        power = power * rest + F32(1.6666665459e-1)
        power = power * rest + F32(5.0000001201e-1)
        values[i] = power * rest * rest + rest + F32(1)
        bits[i] = (np.int32(whole) + np.int32(127)) << np.int32(23)
    for i in range(len(values)):
        values[i] *= powers[i]


@compiled()
def shared_codes(codes, target, of_events, event):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """The number of :func:`models.ranker.network.crosses.shared_levels`, for one target and one event."""
    level = 0
    while level < codes.shape[1] and of_events[event, level] > 0 and of_events[event, level] == codes[target, level]:
        level += 1
    return level
