"""A learned space that levels may live in, in place of the embeddings' own (RQ-VAE)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


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
