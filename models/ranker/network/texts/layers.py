"""A transformer layer with rotary positions."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

EXPANSION = 2
"""Width of the feed-forward part, as a multiple of the layer's width."""


def rotations(length: int, width: int) -> torch.Tensor:
    """Cosines and sines of rotary positions (RoPE; Su et al., 2021), shape (2, length, width / 2)."""
    frequencies = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * frequencies
    return torch.stack([angles.cos(), angles.sin()])


def rotate(values: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """Rotates each pair of halves by the angle of its position.

    Args:
        values: shape (..., length, width).
        by: result of :func:`rotations`.
    """
    first, second = values.chunk(2, dim=-1)
    cos, sin = by
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class Layer(nn.Module):
    """Self-attention and a feed-forward part, each on normalised inputs and added to them.

    Args:
        width: width of inputs and outputs.
        heads: number of attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.forth = nn.Linear(width, EXPANSION * width)
        self.back = nn.Linear(EXPANSION * width, width)

    def forward(self, values: torch.Tensor, there: torch.Tensor, by: torch.Tensor | None = None) -> torch.Tensor:
        """Encodes sequences.

        Args:
            values: shape (batch, length, width).
            there: False for padding, shape (batch, length); every sequence has one entry at least.
            by: rotations of the positions, of the width of a head; None for sequences without order.
        """
        batch, length, width = values.shape
        parts = (
            self.mixed(self.before(values))
            .view(batch, length, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        query, key, value = parts.unbind(0)
        if by is not None:
            query, key = rotate(query, by), rotate(key, by)
        seen = scaled_dot_product_attention(query, key, value, attn_mask=there[:, None, None])
        values = values + self.output(seen.transpose(1, 2).reshape(batch, length, width))
        return values + self.back(torch.relu(self.forth(self.between(values))))
