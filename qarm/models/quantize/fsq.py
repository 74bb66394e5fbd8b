"""Finite scalar quantization (Mentzer et al., arXiv 2309.15505) with a learned projection, for the last residual.

QARM V2 quantizes the second k-means residual this way: k-means follows density and lets points at the edge collapse,
FSQ does not depend on the distribution.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

log = logging.getLogger("qarm")

BOUND_SLACK = 1e-3


class FsqQuantizer(nn.Module):
    """Bounds each of n dimensions, rounds it to its levels, and reads the digits as one mixed-radix code.

    Args:
        levels: values per dimension, each at least 2.

    Raises:
        ValueError: a dimension has fewer than 2 levels.
    """

    levels: torch.Tensor
    basis: torch.Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise ValueError(f"every FSQ dimension needs at least 2 levels, not {list(levels)}")
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.int64), persistent=False)
        basis = torch.cumprod(torch.tensor([1, *levels[:-1]], dtype=torch.int64), 0)
        self.register_buffer("basis", basis, persistent=False)
        self.size = math.prod(levels)

    @property
    def shift(self) -> torch.Tensor:
        """What :meth:`bound` adds before the tanh, so that 0 rounds to a level where their number is even."""
        half = (self.levels - 1) * (1 + BOUND_SLACK) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        return (offset / half).atanh()

    def bound(self, z: torch.Tensor) -> torch.Tensor:
        """Bounds z, shape (…, n), so that rounding gives each dimension its number of levels."""
        half = (self.levels - 1) * (1 + BOUND_SLACK) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        return (z + self.shift).tanh() * half - offset

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Quantizes z, shape (…, n), to values in [-1, 1]; gradients pass straight through the rounding."""
        bounded = self.bound(z)
        rounded = bounded + (bounded.round() - bounded).detach()
        return rounded / (self.levels // 2)

    def codes(self, z: torch.Tensor) -> torch.Tensor:
        """The code of z: shape (…, n) to (…), in [0, size)."""
        digits = self.bound(z).round().to(torch.int64) + self.levels // 2
        return (digits * self.basis).sum(-1)

    def values(self, codes: torch.Tensor) -> torch.Tensor:
        """The quantized values behind codes: shape (…) to (…, n)."""
        digits = codes[..., None] // self.basis % self.levels
        half = self.levels // 2
        return (digits - half) / half


class FsqAutoencoder(nn.Module):
    """``d -> hidden -> n``, FSQ, and the mirrored decoder.

    Args:
        dimension: d, of the vectors.
        levels: of the FSQ.
        hidden: width between.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dimension: int, levels: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.quantizer = FsqQuantizer(levels)
        n = len(levels)
        self.encoder = nn.Sequential(nn.Linear(dimension, hidden), nn.ReLU())
        self.project = nn.Linear(hidden, n)
        self.decoder = nn.Sequential(nn.Linear(n, hidden), nn.ReLU(), nn.Linear(hidden, dimension))
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(()))

    def standardise(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors as the network sees them: centred, one scale for all dimensions."""
        return (vectors - self.mean) / self.scale

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Reconstruction of standardised vectors, shape (batch, d)."""
        return self.decoder(self.quantizer(self.project(self.encoder(vectors))))

    @torch.inference_mode()
    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """Codes of vectors of shape (n, d)."""
        z = self.project(self.encoder(self.standardise(torch.from_numpy(vectors))))
        return self.quantizer.codes(z).numpy().astype(np.int32)

    @torch.inference_mode()
    def decode(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """Vectors behind codes of shape (n,)."""
        values = self.quantizer.values(torch.from_numpy(codes.astype(np.int64)))
        return (self.decoder(values.float()) * self.scale + self.mean).numpy()

    @torch.no_grad()
    def initialise(self, vectors: torch.Tensor) -> None:
        """Starts with every dimension's boundary in the middle of the data, so that no code is dead at first.

        Args:
            vectors: a sample, shape (n, d).
        """
        self.mean.copy_(vectors.mean(0))
        self.scale.copy_((vectors - self.mean).pow(2).mean().sqrt().clamp_min(1e-12))
        last = self.project
        z = last(self.encoder(self.standardise(vectors)))
        spread = z.std(0, correction=0).clamp_min(1e-6)
        last.weight /= spread[:, None]
        last.bias.copy_((last.bias - z.mean(0)) / spread - self.quantizer.shift)


def fit_fsq(
    vectors: NDArray[np.float32],
    levels: Sequence[int],
    hidden: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> FsqAutoencoder:
    """Trains the projection by the reconstruction's mean squared error.

    Args:
        vectors: shape (n, d).
        levels: of the FSQ.
        hidden: width of the networks.
        epochs: passes over the vectors.
        batch_size: vectors a step.
        learning_rate: AdamW's, decayed to zero by a cosine.
        seed: of weights and order.
    """
    generator = torch.Generator().manual_seed(seed)
    data = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FsqAutoencoder(data.shape[1], levels, hidden)
    model.initialise(data[torch.randperm(len(data), generator=generator)[:65_536]])
    steps = epochs * math.ceil(len(data) / batch_size)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    with tqdm(total=steps, desc="fit FSQ", unit="step", mininterval=1) as progress:
        for _ in range(epochs):
            for rows in torch.randperm(len(data), generator=generator).split(batch_size):
                batch = model.standardise(data[rows])
                loss = nn.functional.mse_loss(model(batch), batch)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                progress.update()
            progress.set_postfix(mse=f"{loss.item():.4f}")
    return model.eval()
