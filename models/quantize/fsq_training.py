"""Trains the projections of an FSQ level."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.device import own_device
from models.progress import tracked
from models.quantize.codebook import Codebook
from models.quantize.fsq import FsqLevel
from models.quantize.kmeans import BLOCK
from models.quantize.sampling import random_batches
from schemas.codebook_sections import FsqSettings

INITIAL_SAMPLE = 32_768

Before = Callable[[torch.Tensor], torch.Tensor]
"""Maps row numbers, shape (batch,), to the reconstructions by the previous levels, shape (batch, d)."""


def fit_fsq(
    vectors: NDArray[np.float32],
    settings: FsqSettings,
    *,
    seed: int,
    before: Before | None = None,
    start: FsqLevel | None = None,
) -> FsqLevel:
    """Fits the projection with its mirrored decoder, then the prefix decoder.

    Args:
        vectors: residuals of the previous levels, shape (n, d).
        settings: the ``[codebook.fsq]`` section with ``levels`` filled in. The projection is trained for ``steps``
            steps, and the prefix decoder for as many; a small sample is repeated for as many epochs as needed.
        seed: random seed of the weights and of the order.
        before: reconstructions by the previous levels; None for a first level, which has no prefix decoder.
        start: level for a warm start; ignored if its shapes differ.
    """
    s = settings
    generator = torch.Generator().manual_seed(seed)
    data = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    sample = torch.randperm(len(data), generator=generator)[:INITIAL_SAMPLE]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learned, prefix = s.projection == "learned", before is not None and s.decoder == "prefix"
        level = FsqLevel(
            data.shape[1],
            s.levels,
            s.hidden if learned else 0,
            prefix_hidden=s.hidden if prefix else 0,
            direction=learned,
        )
    level.initialise(data[sample])
    warm = start is not None and start.direction == level.direction and _shapes(start) == _shapes(level)
    if start is not None and warm:
        level.load_state_dict(start.state_dict())
    if not learned:
        level.take_principal_components(data[sample])
    decoder = level.prefix_decoder
    if decoder is not None and before is not None and not warm:
        seen = torch.cat([before(rows) for rows in sample.split(BLOCK)])
        decoder.mean.copy_(seen.mean(0))
        decoder.scale.copy_((seen - decoder.mean).pow(2).mean().sqrt().clamp_min(1e-12))
    device = own_device()
    level.to(device)
    if learned:
        mirrored = [*level.encoder.parameters(), *level.project.parameters(), *level.decoder.parameters()]

        def through_the_code(rows: torch.Tensor) -> torch.Tensor:
            batch = level.standardise(data[rows].to(device))
            return nn.functional.mse_loss(level.decoder(level.quantizer(level.latent(batch))), batch)

        batches = random_batches(len(data), s.batch_size, generator)
        _train(mirrored, through_the_code, s, batches=batches, title="fit FSQ")
    if decoder is not None and before is not None:

        def with_the_prefix(rows: torch.Tensor) -> torch.Tensor:
            batch = level.standardise(data[rows].to(device))
            with torch.no_grad():
                values = level.quantizer(level.latent(batch))
            return nn.functional.mse_loss(decoder(values, before(rows).to(device)), batch)

        batches = random_batches(len(data), s.batch_size, generator)
        _train(list(decoder.parameters()), with_the_prefix, s, batches=batches, title="fit prefix decoder")
    return level.cpu().eval()


def fsq_of(codebook: Codebook | None, place: int) -> FsqLevel | None:
    """A codebook's level at a position if it is an FSQ level, for a warm start; else None."""
    level = codebook.level_as_fitted(place) if codebook is not None else None
    return level if isinstance(level, FsqLevel) else None


def _shapes(level: FsqLevel) -> list[tuple[str, torch.Size]]:
    return [(name, value.shape) for name, value in level.state_dict().items()]


def _train(
    weights: Sequence[nn.Parameter],
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    settings: FsqSettings,
    *,
    batches: Iterator[torch.Tensor],
    title: str,
) -> None:
    """Minimises a loss of batches of rows by AdamW with a cosine schedule."""
    optimiser = torch.optim.AdamW(weights, lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    for _ in tracked(range(settings.steps), title, settings.steps):
        loss = loss_of(next(batches))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
