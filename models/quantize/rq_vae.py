"""RQ-VAE (Lee et al., arXiv 2203.01941), the baseline others use, trained by the vector-quantize-pytorch package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from models.quantize.kmeans import KMeansLevel
from models.quantize.sampling import random_batches

COMMITMENT = 0.25


@dataclass(frozen=True)
class RqVaeParameters:
    """Sizes and training of an RQ-VAE.

    Attributes:
        hidden: width of encoder and decoder.
        latent: dimension that is quantized.
        steps: batches trained on.
        batch_size: vectors a step.
        learning_rate: AdamW's, decayed to zero by a cosine.
    """

    hidden: int
    latent: int
    steps: int
    batch_size: int
    learning_rate: float


class LatentSpace(nn.Module):
    """The encoder to the space that is quantized, and the decoder back.

    Args:
        dimension: of the embeddings.
        hidden: width between.
        latent: dimension of the space.
    """

    def __init__(self, dimension: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(nn.Linear(dimension, hidden), nn.ReLU(), nn.Linear(hidden, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, dimension))

    @torch.inference_mode()
    def enter(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings, shape (n, d), to the space, shape (n, latent)."""
        inside: NDArray[np.float32] = self.encoder(torch.from_numpy(embeddings)).numpy()
        return inside

    @torch.inference_mode()
    def leave(self, inside: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points of the space, shape (n, latent), to embeddings, shape (n, d)."""
        embeddings: NDArray[np.float32] = self.decoder(torch.from_numpy(np.ascontiguousarray(inside))).numpy()
        return embeddings


def fit_rq_vae(
    embeddings: NDArray[np.float32], sizes: Sequence[int], parameters: RqVaeParameters, seed: int
) -> tuple[LatentSpace, list[KMeansLevel]]:
    """Trains encoder, residual codebooks (moving averages, started by k-means, dead codes replaced) and decoder.

    Args:
        embeddings: shape (n, d).
        sizes: codes of every level.
        parameters: sizes and training.
        seed: of weights and order.

    Returns:
        The space, and in it one level of nearest centroids for each size.

    Raises:
        ValueError: the package is not installed, or the first batch is smaller than a level.
    """
    try:
        from vector_quantize_pytorch import ResidualVQ
    except ImportError:
        raise ValueError("codebook.method = rq_vae needs a package: pip install vector-quantize-pytorch") from None
    p = parameters
    if len(embeddings) < max(sizes):
        raise ValueError(f"rq_vae with levels of {max(sizes)} codes needs as many contents, not {len(embeddings)}")
    data = torch.from_numpy(np.ascontiguousarray(embeddings, np.float32))
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        space = LatentSpace(data.shape[1], p.hidden, p.latent)
        quantizer = ResidualVQ(
            dim=p.latent, num_quantizers=len(sizes), codebook_size=tuple(sizes), kmeans_init=True,
            threshold_ema_dead_code=1, commitment_weight=COMMITMENT, rotation_trick=False,
        )  # fmt: skip
        optimiser = torch.optim.AdamW(space.parameters(), lr=p.learning_rate)
        batch_size = max(p.batch_size, *sizes)  # k-means starts from the first batch
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, p.steps)
        batches = random_batches(len(data), batch_size, generator)
        for _ in tqdm(range(p.steps), desc="fit RQ-VAE", unit="step", mininterval=1):
            batch = data[next(batches)]
            quantized, _, commitment = quantizer(space.encoder(batch)[None])
            loss = nn.functional.mse_loss(space.decoder(quantized[0]), batch) * data.shape[1] + commitment.sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    levels = [KMeansLevel(layer.codebook.detach().numpy().copy()) for layer in quantizer.layers]
    return space.eval(), levels
