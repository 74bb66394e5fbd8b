"""The GSU/ESU ranker (QARM V2, section on GSU and ESU); with other switches, the network of the trained baselines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import nn

from models.ranker.examples.targets import UNKNOWN
from models.ranker.network.attention import TargetAttention
from models.ranker.network.code_tables import LevelTables, PrefixTables
from models.ranker.network.crosses import LEVELS, shared_levels
from models.ranker.network.experts import Heads
from models.ranker.network.id_tables import id_table
from models.ranker.network.learned_search import HashSearch, SoftSearch, attention_relevance, most_relevant
from models.ranker.network.numbers import PiecewiseLinear
from models.ranker.network.shape import RankerShape
from models.ranker.network.tasks import log_probabilities
from models.ranker.network.texts.reader import TextReader
from models.world import World
from schemas.feature import BUCKETS, Reads
from schemas.names import SID_COLUMNS

Batch = Mapping[str, torch.Tensor]
CONTEXT_DIM = 4
"""Width of the embedding of a category or a bucket."""


class Ranker(nn.Module):
    """Scores a target for a user from the recent history and the events found by the search.

    Target, events and neighbours share the embedding tables of item ids and of the three semantic-ID levels. Embeddings
    of an event's age, action, position and, with crosses, number of codes shared with the target are added to the
    event. The head reads the target, the attention outputs, their products with the target, and the context.

    Args:
        shape: tables, histories, switches and widths.
    """

    search: SoftSearch | HashSearch | None
    as_logarithms: torch.Tensor

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        self.shape = p = shape
        self.item = id_table(p.items, p.item_dim)
        self.code = code_tables(p)
        width = p.item_dim + len(self.code) * p.sid_dim
        rows = {"gap": BUCKETS, "position": BUCKETS, "action": 1 + 2 ** len(p.tasks)}
        self.of_event = nn.ModuleDict({name: _table(size, width, padding_idx=0) for name, size in rows.items()})
        if p.uses("crosses"):
            self.shared = _table(LEVELS + 1, width)
        self.attention = nn.ModuleDict(
            {history: TargetAttention(width, p.heads, p.uses("mix") and history == "found") for history in p.histories}
        )
        soft, hashed = p.search == "soft", p.search == "eta"
        self.search = SoftSearch(width, len(p.tasks)) if soft else HashSearch(width) if hashed else None
        rows_of = {f.name: f.values or BUCKETS for f in p.features if f.reads in (Reads.CATEGORY, Reads.BUCKET)}
        self.context = nn.ModuleDict({name: nn.Embedding(rows, CONTEXT_DIM) for name, rows in rows_of.items()})
        self.read = [feature for feature in p.features if feature.numbers]
        as_logarithms = [feature.reads is Reads.LOG1P for feature in self.read for _ in range(feature.numbers)]
        self.register_buffer("as_logarithms", torch.tensor(as_logarithms), persistent=False)
        self.numbers = PiecewiseLinear(len(as_logarithms))
        context = CONTEXT_DIM * len(self.context) + self.numbers.width
        neighbours = p.item_dim if p.uses("neighbours") else 0
        inputs = width * (1 + 2 * len(p.histories)) + neighbours + context
        self.text: TextReader | None = None
        if p.text is not None and p.uses("text"):
            self.text = TextReader(
                p.text, p.texts, items=p.items, item_dim=p.item_dim, width=width, histories=p.histories,
                tasks=len(p.tasks),
            )  # fmt: skip
            inputs += self.text.width
        self.head = Heads(inputs, p.hidden, len(p.tasks), p.mixture, experts=p.experts, dropout=p.dropout)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.item.weight.device

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits of a batch; the logit of a task that follows another task is conditional on that task.

        Args:
            batch: the columns of :attr:`RankerShape.columns`.

        Returns:
            Shape (batch, tasks).
        """
        return self._logits(batch)[0]

    def _logits(self, batch: Batch) -> tuple[torch.Tensor, list[tuple[float, torch.Tensor]]]:
        """The logits, and the logits of auxiliary losses: of the search's, and of what the texts alone predict."""
        texts = self.target_texts(batch)
        target, codes = self.target(batch, texts)
        others = []
        if self.shape.search != "done":
            batch, of_search = self._searched(batch, target)
            others += [] if of_search is None else [(1.0, of_search)]
        seen = [self._read(history, batch, target, codes) for history in self.shape.histories]
        of_texts = self.text_parts(texts, self.user_texts(batch))
        of_matches = self.text_matches(batch)
        inputs = [
            *self.head_inputs(batch, target, seen, [*of_texts, *of_matches]),
            self.numbers(self.numeric_inputs(batch)),
        ]
        if self.text is not None and self.training and self.text.shape.auxiliary:
            others.append((self.text.shape.auxiliary, self.text.logits_alone(of_texts)))
        return self.head(torch.cat(inputs, dim=-1)), others

    def target(self, batch: Batch, texts: torch.Tensor | None) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Vectors of the targets, shape (batch, width), and their codes, empty if the ranker does not use codes."""
        codes = [batch[name] for name in SID_COLUMNS] if self.shape.uses("codes") else []
        known = batch["item_events"] >= self.shape.id_events
        return self.embed(torch.where(known, batch["item_index"], UNKNOWN), codes, texts), codes

    def target_texts(self, batch: Batch) -> torch.Tensor | None:
        """Vectors of the targets' texts, shape (batch, text width); None if the ranker does not read texts.

        In training they are encoded; otherwise they come from the memory bank.
        """
        if self.text is None:
            return None
        if self.training:
            return self.text.encoded(batch["text_row"], self.item)
        return self.text.of_rows(batch["text_row"])

    def user_texts(self, batch: Batch) -> torch.Tensor | None:
        """The user by the texts of the recent events, shape (batch, text width); None if the ranker reads none."""
        if self.text is None or not self.text.shape.user:
            return None
        return self.text.of_history(self.text.of_items(batch["recent_item"]), batch["recent_gap"] > 0)

    def text_matches(self, batch: Batch) -> list[torch.Tensor]:
        """What the head reads of fields in which events have the target's value; empty if it reads no matches."""
        if self.text is None or not self.text.shape.matches:
            return []
        target = self.text.values_of_rows(batch["text_row"])
        return [
            self.text.matched(
                history, target, self.text.values_of_items(batch[f"{history}_item"]), batch[f"{history}_gap"] > 0
            )
            for history in self.shape.histories
        ]

    def text_parts(self, target: torch.Tensor | None, user: torch.Tensor | None) -> list[torch.Tensor]:
        """What the head reads of texts; empty if the ranker does not read texts."""
        return [] if self.text is None or target is None else self.text.parts(target, user)

    def head_inputs(
        self, batch: Batch, target: torch.Tensor, seen: Sequence[torch.Tensor], texts: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """The head's inputs but the encoded numbers, which are its last; each of shape (batch, width).

        Args:
            batch: features of the targets.
            target: vectors of the targets, shape (batch, width).
            seen: attention output of each history, each of shape (batch, width).
            texts: results of :meth:`text_parts` and of :meth:`text_matches`.
        """
        parts = [target]
        if self.shape.uses("neighbours"):
            near = batch["neighbour_item"]
            parts.append(self.item(near).sum(1) / (near > 0).sum(1, keepdim=True).clamp(min=1))
        for of_history in seen:
            parts += [of_history, of_history * target]
        return [*parts, *texts, *(table(batch[name]) for name, table in self.context.items())]

    def _searched(self, batch: Batch, target: torch.Tensor) -> tuple[Batch, torch.Tensor | None]:
        """The batch with only the events that the learned search selects, and the search's auxiliary logits."""
        there = batch["found_gap"] > 0
        learns = isinstance(self.search, SoftSearch)  # only the soft search is trained by its relevance
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            events = self.events("found", batch)
            if self.search is None:
                attention = cast(TargetAttention, self.attention["found"])
                relevance = attention_relevance(attention, target, events, self.marks("found", batch))
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

    def events(self, history: str, batch: Batch) -> torch.Tensor:
        """Vectors of a history's items, shape (batch, length, width)."""
        items, texts = batch[f"{history}_item"], None
        if self.text is not None and self.text.shape.events:
            texts = self.text.of_items(items)
        return self.embed(items, self.codes(history, batch), texts)

    def codes(self, history: str, batch: Batch) -> list[torch.Tensor]:
        """Codes of a history's events, by level; empty if the ranker does not use codes."""
        return [batch[f"{history}_{name}"] for name in SID_COLUMNS] if self.shape.uses("codes") else []

    def marks(self, history: str, batch: Batch) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Marks of a history's events (age, action, position), as tables and rows for the attention."""
        tables = cast(Mapping[str, nn.Embedding], self.of_event)
        return [(table.weight, batch[f"{history}_{name}"]) for name, table in tables.items()]

    def _read(self, history: str, batch: Batch, target: torch.Tensor, codes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Attention output of the targets over one history, shape (batch, width)."""
        there = batch[f"{history}_gap"] > 0
        marks = self.marks(history, batch)
        if self.shape.uses("crosses"):
            marks.append((self.shared.weight, shared_levels(codes, self.codes(history, batch))))
        scores = batch["found_score"] if history == "found" and self.shape.reads_scores else None
        return self.attention[history](target, self.events(history, batch), there, scores, marks=marks)

    def numeric_inputs(self, batch: Batch) -> torch.Tensor:
        """The numeric inputs of the head, shape (batch, numbers)."""
        parts = []
        for feature in self.read:
            values = batch[feature.name].float()
            parts.append(values if values.ndim == 2 else values[:, None])
            if feature.tells_presence:
                parts.append(parts[-1].any(-1, keepdim=True).float())
        numbers = torch.cat(parts, dim=-1)
        return torch.where(self.as_logarithms, numbers.log1p(), numbers)

    def measure_numbers(self, batches: Iterable[Batch], world: World) -> None:
        """Computes the bins of the head's numeric inputs that were not loaded with the weights.

        Args:
            batches: this process's batches.
            world: the processes that train together; the bins are computed from the rows of all.
        """
        self.numbers.measure((self.numeric_inputs(batch) for batch in batches), world)

    def embed(
        self, items: torch.Tensor, codes: Sequence[torch.Tensor], texts: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Vectors of items, shape (..., width).

        Args:
            items: rows of the item table.
            codes: codes by level.
            texts: vectors of the items' texts, which are added; None for none.
        """
        vectors = torch.cat([self.item(items), *self.code(codes)], dim=-1) if codes else self.item(items)
        return vectors if texts is None or self.text is None else vectors + self.text.to_item(texts)

    @torch.no_grad()
    def fill_bank(self) -> None:
        """Encodes all texts into the memory bank by the present weights; nothing to do if the ranker reads none."""
        if self.text is not None:
            self.text.fill(self.item)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean binary cross entropy over examples and tasks, plus auxiliary losses of a soft search and of texts.

        With ``log_q``, the logarithm of how often the target is drawn as a negative of a positive is subtracted from
        the logits in training, so that the scores themselves learn how likely the user takes the item, and not how much
        likelier than it is drawn (logQ correction; Yi et al., RecSys 2019; here by noise contrast, Gutmann and
        Hyvärinen, AISTATS 2010). A score is then no probability of the examples' labels. What was observed and not
        sampled stays as it is: a task that follows another one, and a negative of a task that is positive for another.
        """
        logits, others = self._logits(batch)
        loss = self._cross_entropy(logits, batch)
        for weight, of_part in others:
            loss = loss + weight * self._cross_entropy(of_part, batch)
        return loss

    def _cross_entropy(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        labels = self.labels(batch)
        if self.shape.log_q:
            logits = logits - self._log_q(batch, labels)
        yes, no = log_probabilities(logits, self.shape.tasks, self.shape.follows)
        return -(labels * yes + (1 - labels) * no).mean()

    def _log_q(self, batch: Batch, labels: torch.Tensor) -> torch.Tensor:
        """What is subtracted from the logits in training, shape (batch, tasks)."""
        sampled = labels.bool() | ~labels.bool().any(1, keepdim=True)
        corrected = torch.where(sampled, batch["log_q"][:, None], 0.0)
        tasks = zip(self.shape.tasks, corrected.unbind(1), strict=True)
        return torch.stack([torch.zeros_like(q) if task in self.shape.follows else q for task, q in tasks], dim=1)

    def probabilities(self, batch: Batch) -> torch.Tensor:
        """Unconditional probability of every task, also of tasks that follow another; shape (batch, tasks)."""
        return log_probabilities(self(batch), self.shape.tasks, self.shape.follows)[0].exp()

    def labels(self, batch: Batch) -> torch.Tensor:
        """Labels of a batch, shape (batch, tasks)."""
        return torch.stack([batch[f"label_{task}"] for task in self.shape.tasks], dim=-1)


def code_tables(shape: RankerShape) -> LevelTables | PrefixTables:
    """The tables that embed semantic IDs, for any of which a semantic ID takes the same width."""
    if shape.uses("codes") and shape.code_tables == "prefixes":
        return PrefixTables(shape.codes, len(shape.codes) * shape.sid_dim, shape.prefix_rows)
    return LevelTables(shape.codes if shape.uses("codes") else (), shape.sid_dim)


def _table(rows: int, width: int, padding_idx: int | None = None) -> nn.Embedding:
    table = nn.Embedding(rows, width, padding_idx=padding_idx)
    nn.init.zeros_(table.weight)
    return table
