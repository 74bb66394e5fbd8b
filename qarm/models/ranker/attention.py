"""The exact search unit (ESU): target attention over a short history."""

from __future__ import annotations

import torch
from torch import nn


class TargetAttention(nn.Module):
    """Multi-head attention of one target over its history.

    A learned event that is always there takes the attention of a target without history, so no row is all padding.

    Args:
        width: of target and events; a multiple of ``heads``.
        heads: attention heads.

    Raises:
        ValueError: the width does not divide by the heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"ranker.heads: {heads} does not divide the width of {width}")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        self.nothing = nn.Parameter(torch.zeros(1, 1, width))
        self.score_weight = nn.Parameter(torch.zeros(heads))

    def forward(
        self, target: torch.Tensor, events: torch.Tensor, there: torch.Tensor, scores: torch.Tensor
    ) -> torch.Tensor:
        """Attends.

        Args:
            target: shape (batch, width).
            events: shape (batch, length, width).
            there: False for padding, shape (batch, length).
            scores: search scores that each head may add to its logits, shape (batch, length).

        Returns:
            Shape (batch, width).
        """
        batch, length, width = events.shape
        events = torch.cat([self.nothing.expand(batch, 1, width), events], dim=1)
        key, value = self.key_value(events).view(batch, length + 1, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        query = self.query(target).view(batch, self.heads, 1, -1)
        bias = scores[:, None, None, :] * self.score_weight[:, None, None]
        # -inf, not 0: a padding event must not beat real events with negative logits.
        bias = bias.masked_fill(~there[:, None, None, :], float("-inf"))
        bias = nn.functional.pad(bias, (1, 0))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.output(mixed.reshape(batch, width))
