"""Target attention of many candidates over the events of one user, compiled by numba.

It computes the same as :class:`models.ranker.network.attention.TargetAttention` with the same weights. Keys and values
of the user's events are made once, so a candidate costs ``length * width`` twice, in place of ``heads`` times as much
and four projections. Events are read by index from the user's tables; the numbers of shared codes are four rows of keys
and values for all events.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear, pad

from models.ranker.network.attention import TargetAttention

F32 = np.float32
LANES = 8
"""Floats of a vector register."""
LOWEST = F32(-3e38)
"""Logit of padding."""


class Crosses(NamedTuple):
    """Inputs of the crosses: codes of candidates and events, and the embedding of the number of shared codes.

    Attributes:
        targets: codes of the candidates, shape (n, 3).
        events: codes of the user's events, shape (1 + events, 3).
        table: embedding of each number of shared leading codes, shape (4, width).
    """

    targets: torch.Tensor
    events: torch.Tensor
    table: torch.Tensor


def queries(attention: TargetAttention, target: torch.Tensor) -> torch.Tensor:
    """Queries of targets, scaled as the logits need them, heads side by side; shape (n, width).

    Args:
        attention: module that holds the weights.
        target: vectors of the targets, shape (n, width).
    """
    query: torch.Tensor = attention.query(target)
    return query / math.sqrt(target.shape[-1] / attention.heads)


def attend(
    attention: TargetAttention,
    query: torch.Tensor,
    events: torch.Tensor,
    places: torch.Tensor,
    *,
    scores: torch.Tensor | None,
    crosses: Crosses | None,
) -> torch.Tensor:
    """Weighted values of every candidate over one history; the attention's output is their projection.

    Args:
        attention: module that holds the weights.
        query: result of :func:`queries`, shape (n, width).
        events: vectors of the user's events, embeddings of their marks added, shape (1 + events, width).
        places: indices of each candidate's events, 0 for padding, shape (n, length); or (1, length) if all candidates
            have the same events.
        scores: similarities of the events, shape (n, length); None if the ranker does not read them.
        crosses: None if the ranker does not use shared codes.

    Returns:
        Shape (n, width).
    """
    width = query.shape[1]
    all_events = torch.cat([attention.nothing, events])
    keys, values = attention.key(all_events), attention.value(all_events)
    if scores is None or attention.mix is None:
        scores, mix = query[:0], query[:0]
    else:
        mix = attention.mix
    if crosses is None:
        nowhere = query.new_zeros((1, 0), dtype=torch.int32)
        crosses = Crosses(nowhere, nowhere, query.new_zeros((1, width)))
    by_level = [linear(crosses.table, projection.weight) for projection in (attention.key, attention.value)]
    of_heads = [_of_heads(tensor, attention.heads) for tensor in (keys, values, *by_level)]
    mixed = np.empty(query.shape, np.float32)
    _attend(query.numpy(), *_arrays(*of_heads, places, scores, mix, crosses.targets, crosses.events), mixed)
    return torch.from_numpy(mixed)


def _of_heads(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows divided into heads, each padded by 0 to whole vector registers; shape (n, heads, a multiple of 8)."""
    apart = rows.view(len(rows), heads, -1)
    return pad(apart, (0, -apart.shape[2] % LANES))


def _arrays(*tensors: torch.Tensor) -> list[NDArray[np.generic]]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


# fastmath may reorder the sums, but the order is the same for every candidate.
@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _attend(query, keys, values, level_keys, level_values, places, scores, mix, codes, of_events, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Weighted values; row 0 of keys and values is the extra event, row 1 padding, row 1 + i that of event i."""
    n, (_, heads, each) = len(query), keys.shape
    own = query.shape[1] // heads  # what is above it is padding to whole registers
    asked, mixed = np.zeros((heads, each), np.float32), np.empty(each, np.float32)
    length, levels = places.shape[1], len(level_keys)
    logits, shared = np.empty((heads, length), np.float32), np.zeros(length, np.int64)
    by_level, by_shared = np.empty((levels, heads), np.float32), np.empty(levels, np.float32)
    bits = np.empty(1 + length, np.int32)
    powers, weights = bits.view(np.float32), np.empty(1 + length, np.float32)
    for c in range(n):
        row = c if len(places) > 1 else 0
        for h in range(heads):
            for j in range(own):
                asked[h, j] = query[c, h * own + j]
            for level in range(levels):
                by_level[level, h] = _product(asked[h], level_keys[level, h])
        for i in range(length):
            event = places[row, i]
            if event == 0:
                for h in range(heads):
                    logits[h, i] = LOWEST
                continue
            shared[i] = shared_codes(codes, c, of_events, event)
            for h in range(heads):
                logit = _product(asked[h], keys[1 + event, h]) + by_level[shared[i], h]
                if len(mix):
                    score = scores[c, i]
                    logit += mix[0, h] * score + mix[1, h] * score * logit
                logits[h, i] = logit
        for h in range(heads):
            none = _product(asked[h], keys[0, h])
            top = none
            for i in range(length):
                top = max(top, logits[h, i])
            weights[length] = none - top
            for i in range(length):
                weights[i] = logits[h, i] - top
            _exponentials(weights, bits, powers)
            total = weights[length]
            by_shared[:] = 0
            for j in range(each):
                mixed[j] = total * values[0, h, j]
            for i in range(length):
                event = places[row, i]
                if event > 0:
                    weight = weights[i]
                    total += weight
                    by_shared[shared[i]] += weight
                    for j in range(each):
                        mixed[j] += weight * values[1 + event, h, j]
            for level in range(levels):
                for j in range(each):
                    mixed[j] += by_shared[level] * level_values[level, h, j]
            for j in range(own):
                out[c, h * own + j] = mixed[j] / total


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"}, inline="always")
def _product(one, other):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    total = F32(0)
    for j in range(len(one)):
        total += one[j] * other[j]
    return total


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
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


@numba.njit(cache=True, nogil=True)
def shared_codes(codes, target, of_events, event):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """The number of :func:`models.ranker.network.crosses.shared_levels`, for one target and one event."""
    level = 0
    while level < codes.shape[1] and of_events[event, level] > 0 and of_events[event, level] == codes[target, level]:
        level += 1
    return level
