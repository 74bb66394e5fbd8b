"""The shape of a retriever's network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.retriever.histories import HistoryShape

FIELDS = ("code", "age", "count", "action")
"""Fields of an event of a behaviour."""


@dataclass(frozen=True, kw_only=True)
class RetrieverShape:
    """The shape of a retriever's network.

    Attributes:
        codes: codes of each level.
        actions: number of positive actions.
        recent_length, older_length, taken_length, half_lives: see :class:`models.retriever.histories.HistoryShape`.
        dim: width of all vectors.
        heads: attention heads; they divide ``dim``.
        queries: learned queries of each behaviour's Query-Former; 0 for none: the decoder attends to all events.
        layers: layers of the decoder.
        experts: experts of each layer's feed-forward; 1 for none, of the width of the experts that are active.
        active_experts: experts that each token takes.
        expert_width: width of an expert.
        prefix_rows: rows of the table of hashed prefixes of codes; more prefixes share rows.
        copies: whether a code's logit also depends on how often and when the user took it (a copy mechanism).
        contrastive: whether there is an item tower, for the contrastive loss.
        dropout: dropout rate.
    """

    codes: Sequence[int]
    actions: int
    recent_length: int
    older_length: int
    taken_length: int
    half_lives: Sequence[float]
    dim: int
    heads: int
    queries: int
    layers: int
    experts: int
    active_experts: int
    expert_width: int
    prefix_rows: int
    copies: bool
    contrastive: bool
    dropout: float

    @property
    def histories(self) -> HistoryShape:
        """How much of a history it reads."""
        return HistoryShape(
            recent_length=self.recent_length,
            older_length=self.older_length,
            taken_length=self.taken_length,
            half_lives=self.half_lives,
        )

    @property
    def history_columns(self) -> list[str]:
        """Columns of a batch that hold the histories, see :func:`models.retriever.histories.behaviours_of`."""
        fields = [f"{name}_{field}" for name in self.histories.lengths for field in FIELDS]
        return fields + [f"taken_mass_{i}" for i in range(len(self.half_lives))]
