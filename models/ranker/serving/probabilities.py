"""Scores many candidates of one user at one moment; user-side work is done once (MaRI, arXiv 2602.23105).

A training batch repeats the user's history in every row. Here each event is embedded once, however many candidates
found it, and attention reads the events by index. Only the order of the sums differs from training, so the logits agree
to 1e-5.

The head's first layer is not split into a user part and a candidate part: with the defaults only 12 of about 500 inputs
depend on the user alone (hour, weekday, length of the history), so the split would save a fortieth of the layer's work.
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
"""Largest number of candidates' events in a block, for a ranker with a learned search."""


def probabilities(ranker: Ranker, user: Batch, candidates: Batch) -> torch.Tensor:
    """Probability of every task for each candidate, shape (n, tasks).

    The probabilities are those of :meth:`models.ranker.network.ranker.Ranker.probabilities`.

    Args:
        ranker: a ranker in evaluation mode. A ranker with a learned search gets batches in the format of training, see
            :func:`tiled`.
        user: the user's columns. The columns :data:`schemas.features.OF_USER`, each of shape (1,). The fields
            ``event_<field>`` of the user's events, each of shape (1 + events,), with padding (0) first. ``recent``:
            indices of the last events, latest first, shape (at most the recent length,).
        candidates: the candidates' columns that the ranker reads, each with n rows; and ``found``, indices of the
            events that the search found for each candidate, padded with 0, shape (n, found length).
    """
    if ranker.shape.search == "done":
        logits = _logits(ranker, user, candidates)
    else:
        rows = max(1, BLOCK_EVENTS // max(1, candidates["found"].shape[1]))
        logits = torch.cat([ranker(tiled(ranker.shape, user, block)) for block in _blocks(candidates, rows)])
    return log_probabilities(logits, ranker.shape.tasks, ranker.shape.follows)[0].exp()


def tiled(shape: RankerShape, user: Batch, candidates: Batch) -> dict[str, torch.Tensor]:
    """Builds a batch in the format of training, without labels: the user's columns are repeated per candidate."""
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
    """The ranker's logits of every candidate, shape (n, tasks)."""
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
