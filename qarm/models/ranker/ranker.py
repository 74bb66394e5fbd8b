"""The GSU/ESU ranker (QARM V2, section on GSU and ESU) and, with less switched on, its DIN baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from qarm.models.ranker.attention import TargetAttention
from qarm.models.ranker.examples import GAP_BUCKETS

Batch = Mapping[str, torch.Tensor]
LENGTH_BUCKETS = 16


@dataclass(frozen=True)
class RankerShape:
    """The shape of a ranker.

    Attributes:
        tasks: one output each.
        items: rows of the item table, padding and unknown included.
        codes: rows of the three semantic-ID tables, padding included.
        histories: which histories it attends to, of ``recent`` and ``found``.
        use_codes: whether it knows semantic IDs.
        item_dim: width of the item table.
        sid_dim: width of each semantic-ID table.
        hidden: widths of the head.
        heads: attention heads.
        dropout: in the head.
    """

    tasks: Sequence[str]
    items: int
    codes: Sequence[int]
    histories: Sequence[str]
    use_codes: bool
    item_dim: int
    sid_dim: int
    hidden: Sequence[int]
    heads: int
    dropout: float

    @property
    def columns(self) -> list[str]:
        """Columns of ``ranker_examples`` that the ranker reads, labels included."""
        fields = ["item", "gap", *(["sid_1", "sid_2", "sid_3"] if self.use_codes else [])]
        sequences = [f"{history}_{field}" for history in self.histories for field in fields]
        scores = ["found_score"] if "found" in self.histories else []
        codes = ["sid_1", "sid_2", "sid_3"] if self.use_codes else []
        labels = [f"label_{task}" for task in self.tasks]
        return [*labels, "item_index", *codes, "hour", "weekday", "history_length", *sequences, *scores]


class Ranker(nn.Module):
    """Scores a target for a user from its searched history.

    Target and events share the tables: item id and three semantic-ID levels, learned with the ranker; events add a
    bucket of their age. Attention outputs, the target, their products and the context go through one head per task.

    Args:
        shape: tables, histories and widths.
    """

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        self.shape = p = shape
        self.item = nn.Embedding(p.items, p.item_dim, padding_idx=0)
        self.code = nn.ModuleList(nn.Embedding(size, p.sid_dim, padding_idx=0) for size in p.codes if p.use_codes)
        for table in (self.item, *self.code):
            nn.init.normal_(table.weight, std=0.05)
            nn.init.zeros_(table.weight[0])
        width = p.item_dim + len(self.code) * p.sid_dim
        self.gap = nn.Embedding(GAP_BUCKETS, width, padding_idx=0)
        self.attention = nn.ModuleDict({history: TargetAttention(width, p.heads) for history in p.histories})
        self.hour = nn.Embedding(24, 4)
        self.weekday = nn.Embedding(7, 4)
        self.length = nn.Embedding(LENGTH_BUCKETS, 4)
        inputs = width * (1 + 2 * len(p.histories)) + 12 + (3 if "found" in p.histories else 0)
        layers: list[nn.Module] = []
        for size in p.hidden:
            layers += [nn.Linear(inputs, size), nn.ReLU(), nn.Dropout(p.dropout)]
            inputs = size
        self.head = nn.Sequential(*layers, nn.Linear(inputs, len(p.tasks)))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits of a batch.

        Args:
            batch: the columns of :attr:`RankerShape.columns`.

        Returns:
            Shape (batch, tasks).
        """
        target = self._embed(batch["item_index"], [batch[f"sid_{i + 1}"] for i in range(len(self.code))])
        parts = [target]
        for history in self.shape.histories:
            there = batch[f"{history}_gap"] > 0
            events = self._embed(
                batch[f"{history}_item"], [batch[f"{history}_sid_{i + 1}"] for i in range(len(self.code))]
            )
            events = events + self.gap(batch[f"{history}_gap"])
            scores = batch["found_score"] if history == "found" else torch.zeros_like(there, dtype=torch.float32)
            seen = self.attention[history](target, events, there, scores)
            parts += [seen, seen * target]
        if "found" in self.shape.histories:
            parts.append(_summary(batch["found_score"], batch["found_gap"] > 0))
        length = (batch["history_length"].float() + 1).log2().long().clamp_max(LENGTH_BUCKETS - 1)
        parts += [self.hour(batch["hour"]), self.weekday(batch["weekday"]), self.length(length)]
        return self.head(torch.cat(parts, dim=-1))

    def _embed(self, items: torch.Tensor, codes: Sequence[torch.Tensor]) -> torch.Tensor:
        tables = [table(code) for table, code in zip(self.code, codes, strict=True)]
        return torch.cat([self.item(items), *tables], dim=-1)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean binary cross entropy over examples and tasks."""
        return nn.functional.binary_cross_entropy_with_logits(self(batch), self.labels(batch))

    def labels(self, batch: Batch) -> torch.Tensor:
        """Labels of a batch, shape (batch, tasks)."""
        return torch.stack([batch[f"label_{task}"] for task in self.shape.tasks], dim=-1)


def _summary(scores: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Best score, mean score and share of near-equal events of a found history, shape (batch, 3)."""
    count = there.sum(1).clamp_min(1)
    best = scores.masked_fill(~there, -1).amax(1)
    same = ((scores > 0.999) & there).sum(1)
    return torch.stack([best, scores.sum(1) / count, same / count], dim=-1)
