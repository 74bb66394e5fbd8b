"""The exact search unit (ESU): target attention over a short history."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

Marks = Sequence[tuple[torch.Tensor, torch.Tensor]]


class TargetAttention(nn.Module):
    """Multi-head attention of one target over its history.

    A learned event that is always there takes the attention of a target without history, so no row is all padding.

    Each head's logit of an event is ``a + g2 r + g3 a r`` where a is that of query and key and r the similarity that
    the search gave it (MUSE's mix, its first weight within the query); the weights begin at 0.

    With one target a row, keys and values need never be made: ``q . (W_k e) = (W_k^T q) . e`` and ``sum a (W_v e) =
    W_v (sum a e)``, which costs heads * length * width in place of length * width^2. What marks an event (its age, its
    place) is a row of a small table that is added to it: the products are then made with the table and picked, and the
    weights summed by row, which costs heads in place of width an event.

    Args:
        width: of target and events; a multiple of ``heads``.
        heads: attention heads.
        mixes: whether similarities count.

    Raises:
        ValueError: the width does not divide by the heads.
    """

    def __init__(self, width: int, heads: int, mixes: bool) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"ranker.heads: {heads} does not divide the width of {width}")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.nothing = nn.Parameter(torch.zeros(1, width))
        self.mix = nn.Parameter(torch.zeros(2, heads)) if mixes else None

    def forward(
        self,
        target: torch.Tensor,
        events: torch.Tensor,
        there: torch.Tensor,
        scores: torch.Tensor | None = None,
        *,
        marks: Marks = (),
    ) -> torch.Tensor:
        """Attends.

        Args:
            target: shape (batch, width).
            events: shape (batch, length, width).
            there: False for padding, shape (batch, length).
            scores: similarities, shape (batch, length); None where they do not count.
            marks: tables of shape (rows, width), and each event's row of them, shape (batch, length).

        Returns:
            Shape (batch, width).
        """
        folded, bias = self.fold(target)
        logits = self._products(folded, bias, events, marks)
        none = self._products(folded, bias, self.nothing)
        if self.mix is not None and scores is not None:
            alone, together = self.mix[:, None, :, None]
            logits = logits + alone * scores[:, None] + together * scores[:, None] * logits
        # -inf, not 0: a padding event must not beat real events with negative logits.
        logits = logits.masked_fill(~there[:, None], float("-inf"))
        weights = torch.cat([none, logits], dim=-1).softmax(-1)
        none, weights = weights[..., :1], weights[..., 1:]
        mixed = none * self.nothing + weights @ events
        for table, rows in marks:
            by_row = weights.new_zeros(*weights.shape[:2], len(table))
            mixed = mixed + by_row.scatter_add(-1, _for_heads(rows, self.heads), weights) @ table
        return self.output_of(mixed)

    def output_of(self, mixed: torch.Tensor) -> torch.Tensor:
        """The output, shape (batch, width), of each head's mean event, shape (batch, heads, width)."""
        values = torch.einsum("bhw,hdw->bhd", mixed, self._of_heads(self.value.weight)).flatten(1)
        return self.output(values + self.value.bias)

    def logits(self, target: torch.Tensor, events: torch.Tensor, marks: Marks = ()) -> torch.Tensor:
        """The logits of query and key alone, shape (batch, heads, length); see :meth:`forward`."""
        return self._products(*self.fold(target), events, marks)

    def fold(self, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What an event is multiplied by and what is added to give its logit, (batch, heads, width) and (.., 1)."""
        query = self.query(target).view(len(target), self.heads, -1) / (target.shape[-1] / self.heads) ** 0.5
        folded = torch.einsum("bhd,hdw->bhw", query, self._of_heads(self.key.weight))
        return folded, (query * self.key.bias.view(self.heads, -1)).sum(-1, keepdim=True)

    def _products(
        self, folded: torch.Tensor, bias: torch.Tensor, events: torch.Tensor, marks: Marks = ()
    ) -> torch.Tensor:
        products = folded @ events.mT + bias
        for table, rows in marks:
            products = products + (folded @ table.T).gather(-1, _for_heads(rows, self.heads))
        return products

    def _of_heads(self, weight: torch.Tensor) -> torch.Tensor:
        """A projection's weight by heads, shape (heads, width of a head, width)."""
        return weight.view(self.heads, -1, weight.shape[-1])


def _for_heads(rows: torch.Tensor, heads: int) -> torch.Tensor:
    return rows.long()[:, None].expand(-1, heads, -1)
