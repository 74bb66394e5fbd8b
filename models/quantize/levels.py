"""One level of a codebook: vectors to codes and back."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray


class Level(Protocol):
    """What every kind of level does; a codebook is a row of them, each on what the ones before left over."""

    @property
    def size(self) -> int:
        """Codes it can give: 0 to size - 1."""

    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """Codes of what is left over, shape (n, d) to (n,)."""

    def decode(self, codes: NDArray[np.int32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """What codes add to the levels before.

        Args:
            codes: shape (n,).
            before: what the levels before stand for, shape (n, d).

        Returns:
            Shape (n, d).
        """

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far every code is, squared and in the level's own space; shape (n, d) to (n, size)."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """What has to be kept of it."""


class RenamedLevel:
    """A level whose codes have other names, so that they agree with those of an earlier codebook.

    Args:
        level: the level as it was fitted.
        names: name of each of its codes, a permutation of 0 to size - 1, shape (size,).

    Raises:
        ValueError: the names are no permutation.
    """

    def __init__(self, level: Level, names: NDArray[np.int32]) -> None:
        if not np.array_equal(np.sort(names), np.arange(level.size)):
            raise ValueError(f"the names of {level.size} codes must be 0 to {level.size - 1}, each once")
        self.level = level
        self.names = np.ascontiguousarray(names, np.int32)
        self._codes = np.argsort(self.names).astype(np.int32)

    @property
    def size(self) -> int:
        """Codes it can give."""
        return self.level.size

    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """Names of the codes of vectors, shape (n, d) to (n,)."""
        return self.names[self.level.encode(vectors)]

    def decode(self, codes: NDArray[np.int32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """What names add to the levels before, shape (n,) to (n, d)."""
        return self.level.decode(self._codes[codes], before)

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far every name's code is, shape (n, d) to (n, size)."""
        return self.level.distances(vectors)[:, self._codes]

    def tensors(self) -> dict[str, torch.Tensor]:
        """The level's, and the names."""
        return {**self.level.tensors(), "names": torch.from_numpy(self.names)}
