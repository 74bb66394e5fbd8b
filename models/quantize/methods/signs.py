"""A toy: on which side of each of a few principal components a vector lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.quantize.codebook import Codebook
from models.quantize.levels import Level
from models.quantize.method import Method

BITS = 6


class SignsLevel(Level):
    """Signs along some directions, and the mean of the vectors of each code."""

    kind = "signs"

    def __init__(self, mean: NDArray[np.float32], directions: NDArray[np.float32], means: NDArray[np.float32]) -> None:
        self.mean, self.directions, self.means = mean, directions, means

    @property
    def size(self) -> int:
        """Two to the power of the directions."""
        return len(self.means)

    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """The sides, as bits."""
        sides = (vectors - self.mean) @ self.directions.T > 0
        return (sides @ (1 << np.arange(len(self.directions)))).astype(np.int32)

    def decode(self, codes: NDArray[np.int32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """The means."""
        return self.means[codes]

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Between the projections and every code's signs."""
        along = (vectors - self.mean) @ self.directions.T
        signs = 2 * (np.arange(self.size)[:, None] >> np.arange(len(self.directions)) & 1) - 1
        return ((along[:, None] - signs) ** 2).sum(-1).astype(np.float32)

    def card(self) -> dict[str, Any]:
        """Its kind."""
        return {"kind": self.kind}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Directions and means."""
        arrays = {"mean": self.mean, "directions": self.directions, "means": self.means}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    @classmethod
    def restore(cls, card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> SignsLevel:
        """The level of these directions and means."""
        return cls(*(tensors[name].numpy() for name in ("mean", "directions", "means")))


class Signs(Method):
    """Signs of the leading principal components."""

    name = "signs"
    description = "signs of the leading principal components"
    reads = ()

    def sizes(self, contents: int) -> list[int]:
        """Codes of the one level."""
        return [2**BITS]

    def _fit(self, vectors: NDArray[np.float32], contents: int, start: Codebook | None) -> Codebook:
        mean = vectors.mean(0)
        directions = np.ascontiguousarray(np.linalg.svd(vectors - mean, full_matrices=False)[2][:BITS])
        level = SignsLevel(mean, directions, np.tile(mean, (2**BITS, 1)))
        codes = level.encode(vectors)
        for code in np.unique(codes):
            level.means[code] = vectors[codes == code].mean(0)
        return Codebook([level], vectors.shape[1], self.name)
