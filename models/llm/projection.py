"""Centring and principal components, from moments that can be summed over any parts of the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file


@dataclass(frozen=True)
class Moments:
    """Count, sum and sum of outer products of vectors.

    Attributes:
        count: vectors seen.
        total: shape (d,).
        outer: shape (d, d).
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
    """Turns raw vectors into the two embeddings of an item.

    Attributes:
        mean: subtracted from raw vectors, shape (d,).
        components: principal directions, shape (search_dim, d).
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]

    @classmethod
    def fit(cls, moments: Moments, search_dim: int, centred: bool = True) -> Projection:
        """Fits mean and principal components.

        Args:
            moments: of the raw vectors.
            search_dim: components to keep.
            centred: whether the mean is taken off; an aligned encoder's cosines are what was trained, as they are.

        Raises:
            ValueError: no vectors, or more components than dimensions.
        """
        dimension = len(moments.total)
        if moments.count == 0:
            raise ValueError("there are no vectors to fit a projection on")
        if search_dim > dimension:
            raise ValueError(f"embed.search_dim is {search_dim}, but the model's vectors have {dimension} dimensions")
        mean = moments.total / moments.count * centred
        covariance = moments.outer / moments.count - np.outer(mean, mean)
        _, directions = np.linalg.eigh(covariance)
        components = directions[:, ::-1][:, :search_dim].T
        # An eigenvector's sign is arbitrary; fixed, so that equal data give equal components.
        largest = np.abs(components).argmax(1)
        components = components * np.sign(components[np.arange(search_dim), largest])[:, None]
        return cls(mean.astype(np.float32), np.ascontiguousarray(components, np.float32))

    def apply(self, raw: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Centres and normalises.

        Args:
            raw: shape (n, d).

        Returns:
            Embeddings of shape (n, d) and search embeddings of shape (n, search_dim), both of L2 norm 1.
        """
        embedding = unit(raw - self.mean)
        return embedding, unit(embedding @ self.components.T)

    def save(self, path: Path) -> None:
        """Writes one safetensors file."""
        save_file({"mean": self.mean, "components": self.components}, path)

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Reads what :meth:`save` wrote."""
        return cls(**load_file(path))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of L2 norm 1, shape (n, d). A zero vector has no direction and becomes the first axis."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = vectors / np.where(norms > 1e-12, norms, 1)
    scaled[norms[:, 0] <= 1e-12, 0] = 1
    return scaled.astype(np.float32)
