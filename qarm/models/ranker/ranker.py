"""The GSU/ESU ranker (QARM V2, section on GSU and ESU) and, with other switches, the models it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from qarm.models.ranker.attention import TargetAttention
from qarm.models.ranker.crosses import BINS, LEVELS, histogram, shared_counts, shared_levels
from qarm.models.ranker.examples import BUCKETS
from qarm.models.ranker.experts import Heads, Kind
from qarm.models.ranker.learned_search import HashSearch, SoftSearch, attention_relevance, most_relevant
from qarm.models.ranker.tables import id_table
from qarm.models.ranker.tasks import log_probabilities

Batch = Mapping[str, torch.Tensor]
LENGTH_BUCKETS = 16
COUNTS = ("history_length", "taken", "item_events", "item_recent_events")
CODES = ("sid_1", "sid_2", "sid_3")
Search = Literal["done", "soft", "twin", "eta"]


@dataclass(frozen=True)
class RankerShape:
    """The shape of a ranker.

    Attributes:
        tasks: one output each.
        items: rows of the item table, padding and unknown included.
        codes: rows of the three semantic-ID tables, padding included.
        histories: which histories it attends to, of ``recent`` and ``found``.
        use_codes: whether it knows semantic IDs.
        use_crosses: whether events know how many codes they share with the target, and the head how many do.
        use_histogram: whether the head sees the found events' similarities by their size (MUSE).
        use_mix: whether attention to found events mixes in their similarity (MUSE).
        use_counts: whether the head sees how often the user took the item before and how often all users did.
        item_dim: width of the item table.
        sid_dim: width of each semantic-ID table.
        hidden: widths of the head; the last but one layer where there are several is each task's own.
        heads: attention heads.
        dropout: in the head.
        mixture: how tasks share the head, see :class:`qarm.models.ranker.experts.Heads`.
        experts: of the mixture.
        follows: the task that a task comes after, see :func:`qarm.models.ranker.tasks.log_probabilities`.
        search: ``done`` where the found history is what a search found; else the ranker searches it for ``search_k``
            events: ``soft`` (SIM), ``twin`` or ``eta``.
        search_k: events that the ranker's own search keeps.
    """

    tasks: Sequence[str]
    items: int
    codes: Sequence[int]
    histories: Sequence[str]
    use_codes: bool
    use_crosses: bool
    use_histogram: bool
    use_mix: bool
    use_counts: bool
    item_dim: int
    sid_dim: int
    hidden: Sequence[int]
    heads: int
    dropout: float
    mixture: Kind = "shared"
    experts: int = 1
    follows: Mapping[str, str] = field(default_factory=dict)
    search: Search = "done"
    search_k: int = 50

    @property
    def reads_scores(self) -> bool:
        """Whether it reads ``found_score``."""
        return "found" in self.histories and (self.use_histogram or self.use_mix)

    @property
    def columns(self) -> list[str]:
        """Columns of ``ranker_examples`` that the ranker reads, labels included."""
        codes = CODES if self.use_codes else ()
        fields = ["item", "gap", "action", "position", *codes]
        sequences = [f"{history}_{field}" for history in self.histories for field in fields]
        counts = ["taken_gap", *COUNTS] if self.use_counts else ["history_length"]
        labels = [f"label_{task}" for task in self.tasks]
        scores = ["found_score"] if self.reads_scores else []
        return [*labels, "item_index", *codes, "hour", "weekday", *counts, *sequences, *scores]


class Ranker(nn.Module):
    """Scores a target for a user from its searched history.

    Target and events share the tables: item id and three semantic-ID levels, learned with the ranker. Events add their
    age, action, position and, with crosses, how many codes they share with the target. Attention outputs, the target,
    their products and the context go through the heads.

    Args:
        shape: tables, histories and widths.
    """

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        self.shape = p = shape
        self.item = id_table(p.items, p.item_dim)
        self.code = nn.ModuleList(id_table(size, p.sid_dim) for size in p.codes if p.use_codes)
        width = p.item_dim + len(self.code) * p.sid_dim
        self.crosses = p.use_crosses and p.use_codes
        rows = {"gap": BUCKETS, "position": BUCKETS, "action": 1 + 2 ** len(p.tasks)}
        self.of_event = nn.ModuleDict({name: _table(size, width, padding_idx=0) for name, size in rows.items()})
        if self.crosses:
            self.shared = _table(LEVELS + 1, width)
        self.attention = nn.ModuleDict(
            {history: TargetAttention(width, p.heads, p.use_mix and history == "found") for history in p.histories}
        )
        searches = {"soft": lambda: SoftSearch(width, len(p.tasks)), "eta": lambda: HashSearch(width)}
        self.search = searches[p.search]() if p.search in searches else None
        self.hour = nn.Embedding(24, 4)
        self.weekday = nn.Embedding(7, 4)
        self.length = nn.Embedding(LENGTH_BUCKETS, 4)
        context = 12
        if p.use_counts:
            self.taken_gap = nn.Embedding(BUCKETS, 4)
            context += 4 + len(COUNTS)
        found = BINS if p.use_histogram and "found" in p.histories else 0
        crossed = LEVELS * len(p.histories) if self.crosses else 0
        inputs = width * (1 + 2 * len(p.histories)) + context + found + crossed
        self.head = Heads(inputs, p.hidden, len(p.tasks), p.mixture, p.experts, p.dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits of a batch; of a task that follows another, given the other.

        Args:
            batch: the columns of :attr:`RankerShape.columns`.

        Returns:
            Shape (batch, tasks).
        """
        return self._logits(batch)[0]

    def _logits(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The logits, and those of the search alone where it learns."""
        codes = [batch[name] for name in CODES] if self.shape.use_codes else []
        target = self._embed(batch["item_index"], codes)
        of_search = None
        if self.shape.search != "done":
            batch, of_search = self._searched(batch, target)
        parts = [target]
        for history in self.shape.histories:
            parts += self._read(history, batch, target, codes)
        return self.head(torch.cat([*parts, *self._context(batch)], dim=-1)), of_search

    def _searched(self, batch: Batch, target: torch.Tensor) -> tuple[Batch, torch.Tensor | None]:
        """The batch with the found history cut to what the ranker's own search prefers, and the search's logits."""
        there = batch["found_gap"] > 0
        learns = isinstance(self.search, SoftSearch)
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            events = self._events("found", batch)
            if self.search is None:
                relevance = attention_relevance(self.attention["found"], target, events)
            else:
                relevance = self.search.relevance(target, events)
        places = most_relevant(relevance.detach(), there, min(self.shape.search_k, relevance.shape[1]))
        found = {name: batch[name].gather(1, places) for name in batch if name in self._found_columns}
        of_search = None
        if isinstance(self.search, SoftSearch):
            of_search = self.search.logits(target, events, relevance.masked_fill(~there, 0.0))
        return {**batch, **found}, of_search

    @property
    def _found_columns(self) -> set[str]:
        return {name for name in self.shape.columns if name.startswith("found_")}

    def _events(self, history: str, batch: Batch) -> torch.Tensor:
        """Events of a history without what the target adds, shape (batch, length, width)."""
        codes = [batch[f"{history}_{name}"] for name in CODES] if self.shape.use_codes else []
        events = self._embed(batch[f"{history}_item"], codes)
        for name, table in self.of_event.items():
            events = events + table(batch[f"{history}_{name}"])
        return events

    def _read(
        self, history: str, batch: Batch, target: torch.Tensor, codes: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """What one history says of the target."""
        there = batch[f"{history}_gap"] > 0
        events = self._events(history, batch)
        more = []
        if self.crosses:
            shared = shared_levels(codes, [batch[f"{history}_{name}"] for name in CODES])
            events = events + self.shared(shared)
            more.append(shared_counts(shared, there))
        scores = batch["found_score"] if history == "found" and self.shape.reads_scores else None
        if scores is not None and self.shape.use_histogram:
            more.append(histogram(scores, there))
        seen = self.attention[history](target, events, there, scores)
        return [seen, seen * target, *more]

    def _context(self, batch: Batch) -> list[torch.Tensor]:
        length = (batch["history_length"].float() + 1).log2().long().clamp_max(LENGTH_BUCKETS - 1)
        parts = [self.hour(batch["hour"]), self.weekday(batch["weekday"]), self.length(length)]
        if self.shape.use_counts:
            counts = torch.stack([batch[name] for name in COUNTS], dim=-1)
            parts += [self.taken_gap(batch["taken_gap"]), counts.float().log1p()]
        return parts

    def _embed(self, items: torch.Tensor, codes: Sequence[torch.Tensor]) -> torch.Tensor:
        tables = [table(code) for table, code in zip(self.code, codes, strict=True)]
        return torch.cat([self.item(items), *tables], dim=-1)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean binary cross entropy over examples and tasks, and that of a search that learns."""
        logits, of_search = self._logits(batch)
        loss = self._cross_entropy(logits, batch)
        return loss if of_search is None else loss + self._cross_entropy(of_search, batch)

    def _cross_entropy(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        yes, no = log_probabilities(logits, self.shape.tasks, self.shape.follows)
        labels = self.labels(batch)
        return -(labels * yes + (1 - labels) * no).mean()

    def probabilities(self, batch: Batch) -> torch.Tensor:
        """Probability of every task, over all examples also where it follows another; shape (batch, tasks)."""
        return log_probabilities(self(batch), self.shape.tasks, self.shape.follows)[0].exp()

    def labels(self, batch: Batch) -> torch.Tensor:
        """Labels of a batch, shape (batch, tasks)."""
        return torch.stack([batch[f"label_{task}"] for task in self.shape.tasks], dim=-1)


def _table(rows: int, width: int, padding_idx: int | None = None) -> nn.Embedding:
    table = nn.Embedding(rows, width, padding_idx=padding_idx)
    nn.init.zeros_(table.weight)
    return table
