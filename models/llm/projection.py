"""Centring and principal components, computed from moments that can be summed over partitions of the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

PROJECTION = "projection.safetensors"
"""Name of the file of an encoder's projection."""


@dataclass(frozen=True)
class Moments:
    """First and second moments of vectors.

    Attributes:
        count: number of vectors.
        total: sum of the vectors, shape (d,).
        outer: sum of the vectors' outer products, shape (d, d).
    """

    count: int
    total: NDArray[np.float64]
    outer: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Moments:
        """The moments of vectors of shape (n, d)."""
        wide = vectors.astype(np.float64)
        return cls(len(wide), wide.sum(0), wide.T @ wide)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.outer + other.outer)


@dataclass(frozen=True)
class Projection:
    """Maps an encoder's raw vectors to an item's embedding and search embedding.

    Attributes:
        mean: vector that is subtracted from raw vectors, shape (d,).
        components: principal directions, shape (search_dim, d).
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]

    @classmethod
    def fit(cls, moments: Moments, search_dim: int, centred: bool = True) -> Projection:
        """Fits the mean and the principal components.

        Args:
            moments: moments of the raw vectors.
            search_dim: number of components to keep.
            centred: whether the mean is subtracted; False for an aligned encoder, whose cosines were trained without.

        Raises:
            ValueError: there are no vectors, or more components than dimensions are asked for.
        """
        dimension = len(moments.total)
        if moments.count == 0:
            raise ValueError("embed_items: there are no items to fit a projection on; ingest items first")
        if search_dim > dimension:
            raise ValueError(
                f"embed.search_dim is {search_dim}, but the model's vectors have {dimension} dimensions; set at most"
                f" {dimension}"
            )
        mean = moments.total / moments.count * centred
        covariance = moments.outer / moments.count - np.outer(mean, mean)
        _, directions = np.linalg.eigh(covariance)
        components = directions[:, ::-1][:, :search_dim].T
        # An eigenvector's sign is arbitrary; it is fixed here so that equal data give equal components.
        largest = np.abs(components).argmax(1)
        components = components * np.sign(components[np.arange(search_dim), largest])[:, None]
        return cls(mean.astype(np.float32), np.ascontiguousarray(components, np.float32))

    def apply(self, raw: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Computes both embeddings from raw vectors.

        Args:
            raw: raw vectors, shape (n, d).

        Returns:
            Embeddings of shape (n, d) and search embeddings of shape (n, search_dim), both of L2 norm 1.
        """
        embedding = self.embedding(raw)
        return embedding, unit(embedding @ self.components.T)

    def embedding(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings of L2 norm 1 from raw vectors, both of shape (n, d); a row does not depend on the other rows."""
        return unit(raw - self.mean)

    def save(self, path: Path) -> None:
        """Writes the projection to one safetensors file."""
        save_file({"mean": self.mean, "components": self.components}, path)

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Reads a projection that :meth:`save` wrote."""
        return cls(**load_file(path))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors scaled to L2 norm 1, shape (n, d); a zero vector becomes the first unit vector."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = vectors / np.where(norms > 1e-12, norms, 1)
    scaled[norms[:, 0] <= 1e-12, 0] = 1
    return scaled.astype(np.float32)
