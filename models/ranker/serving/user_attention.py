"""Target attention of many candidates over the events of one user.

It computes the same as :class:`models.ranker.network.attention.TargetAttention` with the same weights. Keys and values
of the user's events are made once, in place of four projections a candidate; the numbers of shared codes are four rows
of keys and values for all events. In a short history, two matrix products with all events cost less than reading by
index those that a candidate found; in a long one it is the other way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear, pad

from models.ranker.network.attention import TargetAttention
from models.ranker.serving.attention_kernels import LANES, mix_by_index, weights_of_found

SHORT = 4
"""A history of less than so many times the events that a candidate found is multiplied whole."""
BLOCK = 262_144
"""Logits that are held at once."""


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
    if crosses is None:
        nowhere = query.new_zeros((1, 0), dtype=torch.int32)
        crosses = Crosses(nowhere, nowhere, query.new_zeros((1, query.shape[1])))
    if scores is None or attention.mix is None:
        scores, mix = query[:0], query[:0]
    else:
        mix = attention.mix
    found = (places, scores, mix, crosses.targets, crosses.events)
    all_events = torch.cat([attention.nothing, events])
    tables = [
        (projection(all_events), linear(crosses.table, projection.weight))
        for projection in (attention.key, attention.value)
    ]
    if len(all_events) < SHORT * places.shape[1]:
        return _among_all(query, attention.heads, tables, found)
    (keys, level_keys), (values, level_values) = tables
    of_heads = [_of_heads(rows, attention.heads) for rows in (keys, values, level_keys, level_values)]
    mixed = np.empty(query.shape, np.float32)
    mix_by_index(query.numpy(), *_arrays(*of_heads, *found), mixed)
    return torch.from_numpy(mixed)


def _among_all(
    query: torch.Tensor,
    heads: int,
    tables: Sequence[tuple[torch.Tensor, torch.Tensor]],
    found: tuple[torch.Tensor, ...],
) -> torch.Tensor:
    """Weighted values by products with the keys and values of all events; memory: blocks of :data:`BLOCK` logits."""
    keys, values = (torch.cat(table).view(-1, heads, query.shape[1] // heads).transpose(0, 1) for table in tables)
    keys, levels = keys.mT.contiguous(), len(tables[0][1])
    mixed = torch.empty(len(query), heads, values.shape[2])
    rows = max(1, BLOCK // keys[:, 0].numel())
    places, scores, mix, codes, of_events = _arrays(*found)
    for start in range(0, len(query), rows):
        block = slice(start, start + rows)
        logits = query[block].view(-1, *mixed.shape[1:]).transpose(0, 1) @ keys
        own = places[block] if len(places) > 1 else places
        weights_of_found(logits.numpy(), levels, own, scores[block], mix, codes[block], of_events)
        mixed[block] = (logits @ values).transpose(0, 1)
    return mixed.flatten(1)


def _of_heads(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows divided into heads, each padded by 0 to whole vector registers; shape (n, heads, a multiple of 8)."""
    apart = rows.view(len(rows), heads, -1)
    return pad(apart, (0, -apart.shape[2] % LANES))


def _arrays(*tensors: torch.Tensor) -> list[NDArray[np.generic]]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]
