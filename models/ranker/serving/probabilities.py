"""Scores of one user's many candidates at one moment: what is the user's is computed once (MaRI, arXiv 2602.23105).

A training batch repeats the user's history in every row. Here an event is embedded and marked once, whatever number of
candidates found it, and attention reads it by its place. Same weights, same sums but for their order: the logits are
equal to 1e-5.

Of the head's first layer only hour, weekday and length of the history are the user's, 12 of some 500 inputs at the
defaults: splitting it as ``broadcast(x_user W_u)`` would save a fortieth of it, and is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch.nn.functional import embedding

from models.ranker.network.attention import TargetAttention
from models.ranker.network.ranker import Batch, Ranker
from models.ranker.network.shape import RankerShape
from models.ranker.network.tasks import log_probabilities
from models.ranker.serving.user_attention import Crosses, attend
from schemas.features import OF_USER

BLOCK_EVENTS = 65_536
"""Events of the candidates that a ranker with a search of its own scores at once."""


def probabilities(ranker: Ranker, user: Batch, candidates: Batch) -> torch.Tensor:
    """Probability of every task, see :meth:`models.ranker.network.ranker.Ranker.probabilities`; shape (n, tasks).

    Args:
        ranker: in evaluation mode. One that searches the found events itself scores training batches, see
            :func:`tiled`.
        user: :data:`schemas.features.OF_USER`, each of shape (1,). ``event_<field>``, events of the user's history at
            this moment, each of shape (1 + events,): the first is padding, all 0. ``recent``, places of the last ones,
            latest first, shape (at most the recent length,).
        candidates: the ranker's columns of the target, each with n rows, and ``found``, places of the events that the
            search found for each, 0 for padding, shape (n, found length).
    """
    if ranker.shape.search == "done":
        logits = _logits(ranker, user, candidates)
    else:
        rows = max(1, BLOCK_EVENTS // max(1, candidates["found"].shape[1]))
        logits = torch.cat([ranker(tiled(ranker.shape, user, block)) for block in _blocks(candidates, rows)])
    return log_probabilities(logits, ranker.shape.tasks, ranker.shape.follows)[0].exp()


def tiled(shape: RankerShape, user: Batch, candidates: Batch) -> dict[str, torch.Tensor]:
    """The same as a training batch: the user's columns repeated for every candidate, without labels."""
    rows = len(candidates["item_index"])
    batch = {}
    for name in shape.columns:
        history, _, field = name.partition("_")
        if name in OF_USER:
            batch[name] = _repeated(user[name], rows)
        elif history == "recent":
            batch[name] = user[f"event_{field}"][user["recent"]].expand(rows, -1)
        elif history == "found" and name != "found_score":
            batch[name] = user[f"event_{field}"][candidates["found"]]
        elif history != "label":
            batch[name] = candidates[name]
    return batch


def _repeated(values: torch.Tensor, rows: int) -> torch.Tensor:
    return values.expand(rows, *values.shape[1:])


def _blocks(candidates: Batch, rows: int) -> Iterator[Batch]:
    for start in range(0, len(candidates["item_index"]), rows):
        yield {name: values[start : start + rows] for name, values in candidates.items()}


def _logits(ranker: Ranker, user: Batch, candidates: Batch) -> torch.Tensor:
    """The ranker's logits, shape (n, tasks)."""
    events = ranker.events("event", user)
    for table, rows in ranker.marks("event", user):
        events = events + embedding(rows, table)
    target, codes = ranker.target(candidates)
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
    context = {name: _repeated(user[name], len(target)) for name in OF_USER}
    return ranker.head_logits({**candidates, **context}, target, seen)
