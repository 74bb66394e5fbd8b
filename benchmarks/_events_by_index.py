"""How `score` read a user's events before keys and values were made once a user; for benchmarks.score alone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding

from models.compiled import compiled
from models.ranker.examples.columns import target_columns
from models.ranker.examples.context import Context
from models.ranker.network.attention import TargetAttention
from models.ranker.network.ranker import Batch, Ranker
from models.ranker.network.tasks import log_probabilities
from models.ranker.serving.attention_kernels import shared_codes
from models.ranker.serving.user_attention import Crosses
from models.ranker.serving.user_candidates import at_moment, moments
from schemas.features import OF_USER

F32 = np.float32


def score_user(ranker: Ranker, of: Context, counts: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """See :func:`models.ranker.serving.user_candidates.score_user`."""
    columns = {**target_columns(of), **counts, "found_score": of.found.scores}
    scores = []
    with torch.inference_mode():
        for start, stop in pairwise(moments(of.targets.times)):
            logits = _logits(ranker, *at_moment(of, columns, slice(start, stop)))
            scores.append(log_probabilities(logits, ranker.shape.tasks, ranker.shape.follows)[0].exp())
    return torch.cat(scores).numpy()


def _logits(ranker: Ranker, user: Batch, candidates: Batch) -> torch.Tensor:
    """The ranker's logits of every candidate, shape (n, tasks)."""
    events = ranker.events("event", user)
    for table, rows in ranker.marks("event", user):
        events = events + embedding(rows, table)
    target, codes = ranker.target(candidates, ranker.target_texts(candidates))
    crosses = None
    if ranker.shape.uses("crosses"):
        of_events = torch.stack(ranker.codes("event", user), dim=1)
        crosses = Crosses(torch.stack(codes, dim=1), of_events, ranker.shared.weight)
    seen = []
    for history in ranker.shape.histories:
        places = user["recent"][None] if history == "recent" else candidates["found"]
        scores = candidates["found_score"] if history == "found" and ranker.shape.reads_scores else None
        attention = cast(TargetAttention, ranker.attention[history])
        seen.append(attend(attention, target, events, places, scores=scores, crosses=crosses))
    context = {name: user[name].expand(len(target), *user[name].shape[1:]) for name in OF_USER}
    columns = {**candidates, **context}
    inputs = [*ranker.head_inputs(columns, target, seen, []), ranker.numbers(ranker.numeric_inputs(columns))]
    return ranker.head(torch.cat(inputs, dim=-1))


def attend(
    attention: TargetAttention,
    target: torch.Tensor,
    events: torch.Tensor,
    places: torch.Tensor,
    *,
    scores: torch.Tensor | None,
    crosses: Crosses | None,
) -> torch.Tensor:
    """Attention output of every candidate over one history.

    Args:
        attention: module that holds the weights.
        target: vectors of the candidates, shape (n, width).
        events: vectors of the user's events, embeddings of their marks added, shape (1 + events, width).
        places: indices of each candidate's events, 0 for padding, shape (n, length); or (1, length) if all candidates
            have the same events.
        scores: similarities of the events, shape (n, length); None if the ranker does not read them.
        crosses: None if the ranker does not use shared codes.

    Returns:
        Shape (n, width).
    """
    folded, bias = attention.fold(target)
    n, heads, width = folded.shape
    none = (folded @ attention.nothing.mT + bias).squeeze(-1)
    if scores is None or attention.mix is None:
        scores = mix = target[:0]
    else:
        mix = attention.mix
    if crosses is None:
        nowhere = target.new_zeros((1, 0), dtype=torch.int32)
        crosses = Crosses(nowhere, nowhere, target.new_zeros((1, width)))
    mixed = np.empty((n, heads, width), np.float32)
    _attend(
        *_arrays(folded, bias.squeeze(-1), none, attention.nothing[0], events, places),
        *_arrays(scores, mix, folded @ crosses.table.mT, *crosses),
        mixed,
    )
    return attention.output_of(torch.from_numpy(mixed))


def _arrays(*tensors: torch.Tensor) -> list[NDArray[np.generic]]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


# fastmath may reorder the sums, but the order is the same for every candidate.
@compiled(fastmath={"reassoc", "contract", "nsz"})
def _attend(folded, bias, none, nothing, events, places, scores, mix, by_level, codes, of_events, table, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    n, heads, width = folded.shape
    length, levels = places.shape[1], len(table)
    logits = np.empty((heads, length), np.float32)
    shared = np.zeros(length, np.int64)
    by_shared = np.empty(levels, np.float32)
    for c in range(n):
        row = c if len(places) > 1 else 0
        for i in range(length):
            event = places[row, i]
            if event == 0:
                continue
            shared[i] = shared_codes(codes, c, of_events, event)
            for h in range(heads):
                logit = F32(0)
                for w in range(width):
                    logit += folded[c, h, w] * events[event, w]
                logit += bias[c, h] + (by_level[c, h, shared[i]] if levels > 1 else F32(0))
                if len(mix):
                    score = scores[c, i]
                    logit += mix[0, h] * score + mix[1, h] * score * logit
                logits[h, i] = logit
        for h in range(heads):
            top = none[c, h]
            for i in range(length):
                if places[row, i] > 0:
                    top = max(top, logits[h, i])
            total = np.exp(none[c, h] - top)
            by_shared[:] = 0
            for w in range(width):
                out[c, h, w] = total * nothing[w]
            for i in range(length):
                event = places[row, i]
                if event > 0:
                    weight = np.exp(logits[h, i] - top)
                    total += weight
                    by_shared[shared[i]] += weight
                    for w in range(width):
                        out[c, h, w] += weight * events[event, w]
            for level in range(levels):
                for w in range(width):
                    out[c, h, w] += by_shared[level] * table[level, w]
            for w in range(width):
                out[c, h, w] /= total
