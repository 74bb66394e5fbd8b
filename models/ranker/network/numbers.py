"""Piecewise linear encoding of the head's numeric inputs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.world import World

BINS = 8
"""Largest number of bins per number."""


class PiecewiseLinear(nn.Module):
    """Encodes each number as the degree, 0 to 1, to which it fills each of its bins.

    This is piecewise linear encoding (Gorishniy et al., NeurIPS 2022, section 3.2). A network on standardised numbers
    hardly distinguishes, for example, 0 events from 1 event, where a tree can split. On the numbers of Complete
    Journey's examples, after one epoch, a network was 3.2 points of AUC below gradient boosting on cold items with
    standardised numbers, and 1.1 points with this encoding. The bins are measured before training and stored with the
    weights. Numbers outside the bins are clipped. A constant number has no bins and is encoded as 0.

    Args:
        width: number of numbers per row.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width * BINS
        self.register_buffer("known", torch.zeros(width, dtype=torch.bool))
        self.register_buffer("begin", torch.zeros(width, BINS))
        self.register_buffer("slope", torch.zeros(width, BINS))
        self.register_buffer("mean", torch.zeros(width, BINS))

    known: torch.Tensor
    begin: torch.Tensor
    slope: torch.Tensor
    mean: torch.Tensor

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Encodes rows of numbers, shape (batch, width), minus the mean encoding; shape (batch, bins in all)."""
        return (self._filled(numbers) - self.mean).flatten(1)

    def _filled(self, numbers: torch.Tensor) -> torch.Tensor:
        return ((numbers[..., None] - self.begin) * self.slope).clamp(0, 1)

    @torch.no_grad()
    def measure(self, parts: Iterable[torch.Tensor], world: World) -> None:
        """Computes bins from the rows of all processes, for the numbers that have no bins yet and are not constant.

        Bins that were loaded with the weights are kept, because the weights were trained on them. Memory: the rows of
        all processes, on every process.

        Args:
            parts: this process's rows, each of shape (rows, width).
            world: the processes that train together.
        """
        rows = world.gather(torch.cat([self.begin.new_zeros(0, len(self.known)), *(part.float() for part in parts)]))
        if not rows.numel():
            return
        for number in torch.nonzero(~self.known)[:, 0].tolist():
            edges = bin_edges(rows[:, number].cpu().numpy())
            if not (bins := len(edges) - 1):
                continue
            self.begin[number, :bins] = torch.from_numpy(edges[:-1])
            self.slope[number, :bins] = torch.from_numpy(1 / np.diff(edges))
            self.known[number] = True
            self.mean[number] = self._filled(rows)[:, number].mean(0)


def bin_edges(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Edges of at most :data:`BINS` bins with equal numbers of rows; fewer bins if a frequent value would fill several.

    Args:
        values: values of one number, shape (n,), n > 0.

    Returns:
        Ascending edges from the lowest to the highest value, one more than bins; a single edge if all values are equal.
    """
    return np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)).astype(np.float32))
