"""Scores of one user's many candidates at one moment: what is the user's is computed once (MaRI, arXiv 2602.23105).

A training batch repeats the user's history in every row. Here an event is embedded and marked once, whatever number of
candidates found it; recent events meet all candidates in one matrix product; found ones are picked by their place. Same
weights, same sums but for their order: the logits are equal to 1e-5.

Of the head's first layer only hour, weekday and length of the history are the user's, 12 of 476 inputs at the defaults:
splitting it as ``broadcast(x_user W_u)`` would save a fortieth of it, and is left.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.functional import embedding

from qarm.models.ranker.crosses import shared_levels
from qarm.models.ranker.ranker import Batch, Ranker, RankerShape
from qarm.models.ranker.tasks import log_probabilities

USER = ("hour", "weekday", "history_length")
"""Columns of which a user has one at a moment."""
BLOCK = 256
"""Candidates scored at once: what their found events take stays in the cache."""
BLOCK_EVENTS = 65_536
"""Events of the candidates that a ranker with a search of its own scores at once."""


def probabilities(ranker: Ranker, user: Batch, candidates: Batch) -> torch.Tensor:
    """Probability of every task, see :meth:`qarm.models.ranker.ranker.Ranker.probabilities`; shape (n, tasks).

    Args:
        ranker: in evaluation mode. One that searches the found events itself scores training batches, see
            :func:`tiled`.
        user: :data:`USER`, each of shape (1,). ``event_<field>``, events of the user's history at this moment, each of
            shape (1 + events,): the first is padding, all 0. ``recent``, places of the last ones, latest first, shape
            (at most the recent length,).
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
        if name in USER:
            batch[name] = user[name].expand(rows)
        elif history == "recent":
            batch[name] = user[f"event_{field}"][user["recent"]].expand(rows, -1)
        elif history == "found" and name != "found_score":
            batch[name] = user[f"event_{field}"][candidates["found"]]
        elif history != "label":
            batch[name] = candidates[name]
    return batch


def _blocks(candidates: Batch, rows: int) -> Iterator[Batch]:
    for start in range(0, len(candidates["item_index"]), rows):
        yield {name: values[start : start + rows] for name, values in candidates.items()}


def _logits(ranker: Ranker, user: Batch, candidates: Batch) -> torch.Tensor:
    """The ranker's logits, shape (n, tasks)."""
    events = ranker.events("event", user)
    for table, rows in ranker.marks("event", user):
        events = events + embedding(rows, table)
    return torch.cat([_block(ranker, user, events, block) for block in _blocks(candidates, BLOCK)])


def _block(ranker: Ranker, user: Batch, events: torch.Tensor, candidates: Batch) -> torch.Tensor:
    target, codes = ranker.target(candidates)
    of_events = ranker.codes("event", user)
    seen = []
    for history in ranker.shape.histories:
        places = user["recent"] if history == "recent" else candidates["found"]
        crosses = []
        if ranker.shape.crosses:
            shared = shared_levels(codes, [code[places] for code in of_events])
            crosses = [(ranker.shared.weight, shared)]
        scores = candidates["found_score"] if history == "found" and ranker.shape.reads_scores else None
        there = places > 0 if history == "found" else (places > 0)[None]
        seen.append(ranker.attention[history](target, embedding(places, events), there, scores, crosses))
    context = {name: user[name].expand(len(target)) for name in USER}
    return ranker.conclude({**candidates, **context}, target, seen)
