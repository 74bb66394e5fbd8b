"""The exact search unit (ESU): target attention over a short history."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

Marks = Sequence[tuple[torch.Tensor, torch.Tensor]]


class TargetAttention(nn.Module):
    """Multi-head attention of one target over its history.

    A learned extra event is always present, so that a target without history also has something to attend to.

    Each head's logit of an event is ``a + g2 r + g3 a r``, where a is the logit of query and key and r the similarity
    from the search (MUSE's mix; its first weight is part of the query). The weights g2 and g3 are initialised with 0.

    With one target per row, keys and values are never computed: ``q . (W_k e) = (W_k^T q) . e`` and ``sum a (W_v e) =
    W_v (sum a e)``, which costs heads * length * width instead of length * width^2. The marks of an event (age,
    position, action) are rows of small tables, which are added to its vector. Products are computed with the tables and
    looked up per event, and attention weights are summed per table row, which costs heads instead of width per event.

    Args:
        width: width of target and events; a multiple of ``heads``.
        heads: number of attention heads.
        mixes: whether the logits use the similarities.

    Raises:
        ValueError: the width is not a multiple of ``heads``.
    """

    def __init__(self, width: int, heads: int, mixes: bool) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"ranker.heads: {heads} does not divide the width of {width}; set a divisor of {width}")
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
        """Computes the attention output.

        Args:
            target: shape (batch, width).
            events: shape (batch, length, width).
            there: False for padding, shape (batch, length).
            scores: similarities of the events, shape (batch, length); None to ignore them.
            marks: pairs of a table, shape (rows, width), and each event's row in it, shape (batch, length).

        Returns:
            Shape (batch, width).
        """
        folded, bias = self.fold(target)
        logits = self._products(folded, bias, events, marks)
        none = self._products(folded, bias, self.nothing)
        if self.mix is not None and scores is not None:
            alone, together = self.mix[:, None, :, None]
            logits = logits + alone * scores[:, None] + together * scores[:, None] * logits
        # -inf and not 0, because real events may have negative logits.
        logits = logits.masked_fill(~there[:, None], float("-inf"))
        weights = torch.cat([none, logits], dim=-1).softmax(-1)
        none, weights = weights[..., :1], weights[..., 1:]
        mixed = none * self.nothing + weights @ events
        for table, rows in marks:
            by_row = weights.new_zeros(*weights.shape[:2], len(table))
            mixed = mixed + by_row.scatter_add(-1, _for_heads(rows, self.heads), weights) @ table
        return self.output_of(mixed)

    def output_of(self, mixed: torch.Tensor) -> torch.Tensor:
        """Output, shape (batch, width), from each head's weighted mean of events, shape (batch, heads, width)."""
        values = torch.einsum("bhw,hdw->bhd", mixed, self._of_heads(self.value.weight)).flatten(1)
        return self.output(values + self.value.bias)

    def logits(self, target: torch.Tensor, events: torch.Tensor, marks: Marks = ()) -> torch.Tensor:
        """Logits from query and key, without similarities, shape (batch, heads, length); see :meth:`forward`."""
        return self._products(*self.fold(target), events, marks)

    def fold(self, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Factor, shape (batch, heads, width), and bias, shape (batch, heads, 1), that give the logit of an event."""
        query = self.query(target).view(target.shape[0], self.heads, -1) / (target.shape[-1] / self.heads) ** 0.5
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
        """A projection's weight divided into heads, shape (heads, width of a head, width)."""
        return weight.view(self.heads, -1, weight.shape[-1])


def _for_heads(rows: torch.Tensor, heads: int) -> torch.Tensor:
    return rows.long()[:, None].expand(-1, heads, -1)
