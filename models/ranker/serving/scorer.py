"""Scores many candidates of one user at one moment; what is the user's is computed once (MaRI, arXiv 2602.23105).

A training batch repeats the user's history in every row. Here each event is embedded once, however many candidates
found it, and its keys and values are made once. What is the item's alone comes from a table that is made once a night.
Only the order of the sums differs from training, so the logits agree to 1e-5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding

from models.ranker.examples.targets import UNKNOWN
from models.ranker.network.attention import TargetAttention
from models.ranker.network.ranker import Batch, Ranker
from models.ranker.network.shape import RankerShape
from models.ranker.network.tasks import log_probabilities
from models.ranker.serving.head import (
    ITEM,
    NUMBERS,
    USER_TEXTS,
    codes_of,
    matched_histories,
    matches_of,
    rewritten,
    values_of,
)
from models.ranker.serving.items import ItemSums, query_of
from models.ranker.serving.user_attention import Crosses, attend
from schemas.features import OF_USER

ITEM_INDEX = "item_index"
BLOCK_EVENTS = 65_536
"""Largest number of candidates' events in a block, for a ranker with a learned search."""


class Scorer:
    """A ranker that is ready to score users' candidates.

    Args:
        ranker: a ranker in evaluation mode. One with a learned search gets batches in the format of training, see
            :func:`tiled`.
        neighbours: items of ``neighbour_item``.
    """

    table: NDArray[np.float32] | None = None
    items: ItemSums | None = None

    def __init__(self, ranker: Ranker, neighbours: int) -> None:
        self.ranker = ranker
        if ranker.shape.search == "done":
            self.head = rewritten(ranker, neighbours)
            self.items = ItemSums(ranker, self.head, neighbours)

    def reading(self, table: NDArray[np.float32] | None) -> Scorer:
        """The scorer, which takes the sums of items from a table; with None it computes them."""
        self.table = table
        return self

    def probabilities(self, user: Batch, candidates: Batch, rows: NDArray[np.int64] | None = None) -> torch.Tensor:
        """Probability of every task for each candidate, shape (n, tasks).

        The probabilities are those of :meth:`models.ranker.network.ranker.Ranker.probabilities`.

        Args:
            user: the user's columns. The columns :data:`schemas.features.OF_USER`, each of shape (1,). The fields
                ``event_<field>`` of the user's events, each of shape (1 + events,), with padding (0) first. ``recent``:
                indices of the last events, latest first, shape (at most the recent length,).
            candidates: the candidates' columns that the ranker reads, each with n rows; and ``found``, indices of the
                events that the search found for each candidate, padded with 0, shape (n, found length).
            rows: row of each candidate in the table of items, shape (n,); only read if there is a table.
        """
        ranker, shape = self.ranker, self.ranker.shape
        if self.items is not None:
            logits = self._logits(self.items, user, candidates, rows)
        else:
            count = max(1, BLOCK_EVENTS // max(1, candidates["found"].shape[1]))
            logits = torch.cat([ranker(tiled(shape, user, block)) for block in _blocks(candidates, count)])
        return log_probabilities(logits, shape.tasks, shape.follows)[0].exp()

    def _logits(
        self, items: ItemSums, user: Batch, candidates: Batch, rows: NDArray[np.int64] | None
    ) -> torch.Tensor:  # fmt: skip
        """The ranker's logits of every candidate, shape (n, tasks)."""
        ranker, shape = self.ranker, self.ranker.shape
        sums = items.apart(self._sums(items, candidates, rows))
        events = ranker.events("event", user)
        for table, marks in ranker.marks("event", user):
            events = events + embedding(marks, table)
        codes = torch.stack(ranker.codes("event", user), dim=1) if shape.uses("crosses") else None
        values = {}
        for history in shape.histories:
            mine, places, of_events = events, candidates["found"], codes
            if history == "recent":
                recent = torch.cat([user["recent"].new_zeros(1), user["recent"]])
                mine, of_events = events[recent], None if codes is None else codes[recent]
                places = torch.arange(1, len(recent))[None]
            crosses = None
            if of_events is not None:
                crosses = Crosses(torch.stack(codes_of(shape, candidates), dim=1), of_events, ranker.shared.weight)
            scores = candidates["found_score"] if history == "found" and shape.reads_scores else None
            attention = cast(TargetAttention, ranker.attention[history])
            values[values_of(history)] = attend(
                attention, sums[query_of(history)], mine, places, scores=scores, crosses=crosses
            )
        context = {name: user[name].expand(len(candidates[ITEM_INDEX]), *user[name].shape[1:]) for name in OF_USER}
        values |= self._matches(user, candidates)
        values[NUMBERS] = ranker.numeric_inputs({**candidates, **context})
        request = {**user, **self._user_texts(user)}
        return cast(torch.Tensor, self.head.of_pairs(self.head.of_request(request), sums, {**candidates, **values}))

    def _matches(self, user: Batch, candidates: Batch) -> dict[str, torch.Tensor]:
        """What the head reads of each candidate's matches with the user's events; empty if it reads none."""
        histories, text = matched_histories(self.ranker), self.ranker.text
        if text is None or not histories:
            return {}
        target, events = text.values_of_rows(candidates["text_row"]), text.values_of_items(user["event_item"])
        places = {"recent": user["recent"][None], "found": candidates["found"]}
        return {
            matches_of(name): text.matched(name, target, events[places[name]], places[name] > 0) for name in histories
        }

    def _user_texts(self, user: Batch) -> dict[str, torch.Tensor]:
        """What the head reads of the user's texts, once for all candidates; empty if it reads none."""
        recent = torch.cat([user["recent"].new_zeros(1), user["recent"]])[None]
        events = {"recent_item": user["event_item"][recent], "recent_gap": user["event_gap"][recent]}
        found = self.ranker.user_texts(events)
        return {} if found is None else {USER_TEXTS: found}

    def _sums(self, items: ItemSums, candidates: Batch, rows: NDArray[np.int64] | None) -> torch.Tensor:
        """The sums of every candidate's item: from the table, or computed; shape (n, width)."""
        known = candidates["item_events"] >= self.ranker.shape.id_events
        item = torch.where(known, candidates[ITEM_INDEX], UNKNOWN)
        columns = {ITEM: item, **{name: candidates[name] for name in items.columns if name != ITEM}}
        if self.table is None or rows is None:
            return items.of(columns)
        sums = torch.from_numpy(self.table[rows])
        other = torch.nonzero(item != candidates[ITEM_INDEX])[:, 0]  # read as the unknown item at this moment
        if len(other):
            sums[other] = items.of({name: values[other] for name, values in columns.items()})
        return sums


def tiled(shape: RankerShape, user: Batch, candidates: Batch) -> dict[str, torch.Tensor]:
    """Builds a batch in the format of training, without labels: the user's columns are repeated per candidate."""
    rows = len(candidates[ITEM_INDEX])
    batch = {}
    for name in shape.columns:
        history, _, field = name.partition("_")
        if name in OF_USER:
            batch[name] = user[name].expand(rows, *user[name].shape[1:])
        elif history == "recent":
            batch[name] = user[f"event_{field}"][user["recent"]].expand(rows, -1)
        elif history == "found" and name != "found_score":
            batch[name] = user[f"event_{field}"][candidates["found"]]
        elif name not in shape.taught_by:
            batch[name] = candidates[name]
    return batch


def _blocks(candidates: Batch, rows: int) -> Iterator[Batch]:
    for start in range(0, len(candidates[ITEM_INDEX]), rows):
        yield {name: values[start : start + rows] for name, values in candidates.items()}
