"""Trains the projections of an FSQ level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from models.quantize.fsq import FsqLevel
from models.quantize.kmeans import BLOCK
from models.quantize.sampling import random_batches

INITIAL_SAMPLE = 32_768

Before = Callable[[torch.Tensor], torch.Tensor]
"""Rows of the vectors to what the levels before stand for there, shape (batch,) to (batch, d)."""


@dataclass(frozen=True)
class FsqParameters:
    """Sizes and training of an FSQ level.

    Attributes:
        levels: values of each dimension; their product is the number of codes.
        projection: ``learned`` or ``pca``.
        decoder: ``prefix`` sees the levels before, ``mirrored`` does not.
        hidden: width of the networks.
        steps: batches trained on, of the projection and again of the prefix decoder; few vectors are passed over as
            often as it takes.
        batch_size: vectors a step.
        learning_rate: AdamW's, decayed to zero by a cosine.
        seed: of weights and order.
    """

    levels: Sequence[int]
    projection: str
    decoder: str
    hidden: int
    steps: int
    batch_size: int
    learning_rate: float
    seed: int


def fit_fsq(
    vectors: NDArray[np.float32], parameters: FsqParameters, before: Before | None = None, start: FsqLevel | None = None
) -> FsqLevel:
    """Fits the projection, then the prefix decoder.

    Args:
        vectors: what the levels before left over, shape (n, d).
        parameters: sizes and training.
        before: what the levels before stand for; None where there are none, and then there is no prefix decoder.
        start: a level to go on from, where it has the same shapes.
    """
    p = parameters
    generator = torch.Generator().manual_seed(p.seed)
    data = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    sample = torch.randperm(len(data), generator=generator)[:INITIAL_SAMPLE]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(p.seed)
        learned, prefix = p.projection == "learned", before is not None and p.decoder == "prefix"
        level = FsqLevel(data.shape[1], p.levels, p.hidden if learned else 0, p.hidden if prefix else 0, learned)
    level.initialise(data[sample])
    warm = start is not None and start.direction == level.direction and _shapes(start) == _shapes(level)
    if start is not None and warm:
        level.load_state_dict(start.state_dict())
    if learned:
        mirrored = [*level.encoder.parameters(), *level.project.parameters(), *level.decoder.parameters()]

        def through_the_code(rows: torch.Tensor) -> torch.Tensor:
            batch = level.standardise(data[rows])
            return nn.functional.mse_loss(level.decoder(level.quantizer(level.latent(batch))), batch)

        _train(mirrored, through_the_code, len(data), p, generator, "fit FSQ")
    else:
        level.take_principal_components(data[sample])
    decoder = level.prefix_decoder
    if decoder is not None and before is not None:
        if not warm:
            seen = torch.cat([before(rows) for rows in sample.split(BLOCK)])
            decoder.mean.copy_(seen.mean(0))
            decoder.scale.copy_((seen - decoder.mean).pow(2).mean().sqrt().clamp_min(1e-12))

        def with_the_prefix(rows: torch.Tensor) -> torch.Tensor:
            batch = level.standardise(data[rows])
            with torch.no_grad():
                values = level.quantizer(level.latent(batch))
            return nn.functional.mse_loss(decoder(values, before(rows)), batch)

        _train(list(decoder.parameters()), with_the_prefix, len(data), p, generator, "fit prefix decoder")
    return level.eval()


def _shapes(level: FsqLevel) -> list[tuple[str, torch.Size]]:
    return [(name, value.shape) for name, value in level.state_dict().items()]


def _train(
    weights: Sequence[nn.Parameter],
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    n: int,
    p: FsqParameters,
    generator: torch.Generator,
    title: str,
) -> None:
    """AdamW over rows 0 to n in random batches."""
    optimiser = torch.optim.AdamW(weights, lr=p.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, p.steps)
    batches = random_batches(n, p.batch_size, generator)
    for _ in tqdm(range(p.steps), desc=title, unit="step", mininterval=1):
        loss = loss_of(next(batches))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
