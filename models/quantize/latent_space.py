"""A learned latent space that levels quantize instead of the embeddings (RQ-VAE)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


class LatentSpace(nn.Module):
    """An autoencoder between embeddings and the latent space.

    Args:
        dimension: dimension of the embeddings.
        hidden: width of the hidden layers.
        latent: dimension of the latent space.
    """

    def __init__(self, dimension: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(nn.Linear(dimension, hidden), nn.ReLU(), nn.Linear(hidden, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, dimension))

    @torch.inference_mode()
    def enter(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encodes embeddings, shape (n, d), to the latent space, shape (n, latent)."""
        inside: NDArray[np.float32] = self.encoder(torch.from_numpy(embeddings)).numpy()
        return inside

    @torch.inference_mode()
    def leave(self, inside: NDArray[np.float32]) -> NDArray[np.float32]:
        """Decodes latent points, shape (n, latent), to embeddings, shape (n, d)."""
        embeddings: NDArray[np.float32] = self.decoder(torch.from_numpy(np.ascontiguousarray(inside))).numpy()
        return embeddings
