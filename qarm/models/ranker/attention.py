"""The exact search unit (ESU): target attention over a short history."""

from __future__ import annotations

import torch
from torch import nn


class TargetAttention(nn.Module):
    """Multi-head attention of one target over its history.

    A learned event that is always there takes the attention of a target without history, so no row is all padding.

    Each head's logit of an event is ``a + g2 r + g3 a r`` where a is that of query and key and r the similarity that
    the search gave it (MUSE's mix, its first weight within the query); the weights begin at 0.

    With one target a row, keys and values need never be made: ``q . (W_k e) = (W_k^T q) . e`` and ``sum a (W_v e) =
    W_v (sum a e)``, which costs heads * length * width in place of length * width^2.

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
        self.nothing = nn.Parameter(torch.zeros(1, 1, width))
        self.mix = nn.Parameter(torch.zeros(2, heads)) if mixes else None

    def forward(
        self, target: torch.Tensor, events: torch.Tensor, there: torch.Tensor, scores: torch.Tensor | None
    ) -> torch.Tensor:
        """Attends.

        Args:
            target: shape (batch, width).
            events: shape (batch, length, width).
            there: False for padding, shape (batch, length).
            scores: similarities, shape (batch, length); None where they do not count.

        Returns:
            Shape (batch, width).
        """
        batch, _, width = events.shape
        events = torch.cat([self.nothing.expand(batch, 1, width), events], dim=1)
        logits = self.logits(target, events)
        if self.mix is not None and scores is not None:
            similarity = nn.functional.pad(scores, (1, 0))[:, None]
            alone, together = self.mix[:, None, :, None]
            logits = logits + alone * similarity + together * similarity * logits
        # -inf, not 0: a padding event must not beat real events with negative logits.
        logits = logits.masked_fill(~nn.functional.pad(there, (1, 0), value=True)[:, None], float("-inf"))
        mixed = logits.softmax(-1) @ events
        values = torch.einsum("bhw,hdw->bhd", mixed, self._of_heads(self.value.weight)).reshape(batch, width)
        return self.output(values + self.value.bias)

    def logits(self, target: torch.Tensor, events: torch.Tensor) -> torch.Tensor:
        """The logits of query and key alone, shape (batch, heads, length); see :meth:`forward`."""
        query = self.query(target).view(len(target), self.heads, -1)
        folded = torch.einsum("bhd,hdw->bhw", query, self._of_heads(self.key.weight))
        constant = (query * self.key.bias.view(self.heads, -1)).sum(-1, keepdim=True)
        return (folded @ events.transpose(1, 2) + constant) / query.shape[-1] ** 0.5

    def _of_heads(self, weight: torch.Tensor) -> torch.Tensor:
        """A projection's weight by heads, shape (heads, width of a head, width)."""
        return weight.view(self.heads, -1, weight.shape[-1])
