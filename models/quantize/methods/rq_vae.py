"""RQ-VAE (Lee et al., arXiv 2203.01941), a common baseline, trained by the vector-quantize-pytorch package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.device import own_device
from models.progress import tracked
from models.quantize.codebook import Codebook
from models.quantize.kmeans import KMeansLevel
from models.quantize.latent_space import LatentSpace
from models.quantize.method import LEVELS, Method, default_bits
from models.quantize.sampling import random_batches
from schemas.codebook_sections import RqVaeSettings

COMMITMENT = 0.25


class RqVae(Method):
    """A codebook of nearest-centroid levels in the latent space of an autoencoder that is trained with them."""

    name = "rq_vae"
    description = "residual codebooks in the latent space of an autoencoder (RQ-VAE)"
    reads = ("kmeans.sizes", "rq_vae")

    def sizes(self, contents: int) -> list[int]:
        """Number of codes of every level; three levels by default."""
        return self.settings.kmeans.sizes or [2 ** default_bits(contents)] * LEVELS

    def _fit(self, vectors: NDArray[np.float32], contents: int, start: Codebook | None) -> Codebook:
        space, levels = fit_rq_vae(vectors, self.sizes(contents), self.settings.rq_vae, self.settings.seed)
        return Codebook(levels, vectors.shape[1], self.name, space=space)


def fit_rq_vae(
    embeddings: NDArray[np.float32], sizes: Sequence[int], settings: RqVaeSettings, seed: int
) -> tuple[LatentSpace, list[KMeansLevel]]:
    """Trains encoder, decoder and residual codebooks.

    The centroids are initialised by k-means and updated by moving averages; unused codes are replaced.

    Args:
        embeddings: shape (n, d).
        sizes: number of codes of every level.
        settings: the ``[codebook.rq_vae]`` section.
        seed: random seed of the weights and of the order.

    Returns:
        The latent space, and one level of centroids in it for each size.

    Raises:
        ValueError: the package is not installed, or there are fewer embeddings than codes in a level.
    """
    try:
        from vector_quantize_pytorch import ResidualVQ
    except ImportError:
        raise ValueError("codebook.method = rq_vae needs a package: pip install vector-quantize-pytorch") from None
    s = settings
    if len(embeddings) < max(sizes):
        raise ValueError(
            f"codebook.kmeans.sizes: rq_vae needs at least as many contents as codes in a level, {max(sizes)},"
            f" not {len(embeddings)}; set smaller sizes"
        )
    data = torch.from_numpy(np.ascontiguousarray(embeddings, np.float32))
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        device = own_device()
        space = LatentSpace(data.shape[1], s.hidden, s.latent).to(device)
        quantizer = ResidualVQ(
            dim=s.latent, num_quantizers=len(sizes), codebook_size=tuple(sizes), kmeans_init=True,
            threshold_ema_dead_code=1, commitment_weight=COMMITMENT, rotation_trick=False,
        ).to(device)  # fmt: skip
        optimiser = torch.optim.AdamW(space.parameters(), lr=s.learning_rate)
        batch_size = max(s.batch_size, *sizes)  # k-means starts from the first batch
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, s.steps)
        batches = random_batches(len(data), batch_size, generator)
        for _ in tracked(range(s.steps), "fit RQ-VAE", s.steps):
            batch = data[next(batches)].to(device)
            quantized, _, commitment = quantizer(space.encoder(batch)[None])
            loss = nn.functional.mse_loss(space.decoder(quantized[0]), batch) * data.shape[1] + commitment.sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    levels = [KMeansLevel(layer.codebook.detach().cpu().numpy().copy()) for layer in quantizer.layers]
    return space.cpu().eval(), levels
