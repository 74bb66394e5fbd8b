"""Numbers beside embeddings, brought to one scale."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from qarm.models.world import World

LARGEST = 10.0
"""Spreads from its mean that a number is cut to."""


class Standardised(nn.Module):
    """Numbers less their mean, in units of their spread: both measured before training, and part of the weights.

    Counts, similarities and scores of pairs differ in scale by a hundred times; a head that reads them as they are
    learns the small ones last.

    Args:
        width: numbers of a row.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    rows: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    @property
    def measured(self) -> bool:
        """Whether there are a mean and a spread; before, numbers stay as they are."""
        return bool(self.rows)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Standardises rows, shape (batch, width)."""
        return ((numbers - self.mean) * self.scale).clamp(-LARGEST, LARGEST)

    @torch.no_grad()
    def measure(self, parts: Iterable[torch.Tensor], world: World) -> None:
        """Takes mean and spread of the rows of all processes; a number that never differs is left as it is.

        Args:
            parts: rows of this process, each of shape (rows, width).
            world: the processes that train together.
        """
        if not len(self.mean):
            return
        sums = torch.zeros((3, len(self.mean)), dtype=torch.float64)
        for part in parts:
            rows = part.double()
            sums += torch.stack([torch.ones_like(rows).sum(0), rows.sum(0), rows.square().sum(0)])
        count, total, squares = world.sum(sums)
        if not count[0]:
            return
        mean = total / count
        spread = (squares / count - mean.square()).clamp_min(0).sqrt()
        self.rows.fill_(int(count[0]))
        self.mean.copy_(torch.where(spread > 1e-6, mean, 0.0))
        self.scale.copy_(torch.where(spread > 1e-6, 1 / spread, 1.0))
