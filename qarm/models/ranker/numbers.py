"""Numbers beside embeddings, brought to one scale."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from qarm.models.world import World

LARGEST = 10.0
"""Spreads from its mean that a number is cut to."""
SMALLEST = 1e-6
"""A number whose spread is no larger is taken to be the same everywhere."""


class Standardised(nn.Module):
    """Numbers less their mean, in units of their spread: both measured before training, and part of the weights.

    Counts, similarities and scores of pairs differ in scale by a hundred times; a head that reads them as they are
    learns the small ones last.

    Args:
        width: numbers of a row.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("known", torch.zeros(width, dtype=torch.bool))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    known: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Standardises rows, shape (batch, width); a number without a spread stays as it is, but for the cut."""
        return ((numbers - self.mean) * self.scale).clamp(-LARGEST, LARGEST)

    @torch.no_grad()
    def measure(self, parts: Iterable[torch.Tensor], world: World) -> None:
        """Takes mean and spread of the rows of all processes, for the numbers that differ and had none yet.

        What came with the weights stays: they have learned at that scale.

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
        new = (spread > SMALLEST) & ~self.known
        self.mean.copy_(torch.where(new, mean, self.mean))
        self.scale.copy_(torch.where(new, 1 / spread, self.scale))
        self.known |= new
