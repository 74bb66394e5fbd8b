"""One level of a codebook: vectors to codes and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

KINDS: dict[str, type[Level]] = {}
"""Every kind of level whose module was imported, by its name on a codebook's card."""


class Level(ABC):
    """What every kind of level does; a codebook is a row of them, each on what the ones before left over.

    Attributes:
        kind: its name on a codebook's card; a class that names one can be read from a saved codebook.
    """

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls) and KINDS.setdefault(cls.kind, cls) is not cls:
            raise ValueError(f"two kinds of level are called {cls.kind}")

    @property
    @abstractmethod
    def size(self) -> int:
        """Codes it can give: 0 to size - 1."""

    @abstractmethod
    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """Codes of what is left over, shape (n, d) to (n,)."""

    @abstractmethod
    def decode(self, codes: NDArray[np.int32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """What codes add to the levels before.

        Args:
            codes: shape (n,).
            before: what the levels before stand for, shape (n, d).

        Returns:
            Shape (n, d).
        """

    @abstractmethod
    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far every code is, squared and in the level's own space; shape (n, d) to (n, size)."""

    @abstractmethod
    def card(self) -> dict[str, Any]:
        """What a codebook's card says of it, its ``kind`` among it: with the tensors enough to build it again."""

    @abstractmethod
    def tensors(self) -> dict[str, torch.Tensor]:
        """What has to be kept of it."""

    @classmethod
    @abstractmethod
    def restore(cls, card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Level:
        """The level that :meth:`card` and :meth:`tensors` were of."""


class RenamedLevel(Level):
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

    def card(self) -> dict[str, Any]:
        """The level's own."""
        return self.level.card()

    def tensors(self) -> dict[str, torch.Tensor]:
        """The level's, and the names."""
        return {**self.level.tensors(), "names": torch.from_numpy(self.names)}

    @classmethod
    def restore(cls, card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> RenamedLevel:
        """The level of the card's kind under its names."""
        own = {name: tensor for name, tensor in tensors.items() if name != "names"}
        return cls(KINDS[card["kind"]].restore(card, own), tensors["names"].numpy())


def restored(card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Level:
    """A saved level, renamed where it has names.

    Raises:
        ValueError: no method here has such a kind of level.
    """
    # A kind of level may stand in the file of the method that fits it: all of them are imported first, and not above,
    # as they import codebooks.
    from models.quantize import methods  # noqa: F401

    if card["kind"] not in KINDS:
        raise ValueError(
            f"a level of kind {card['kind']} is none of {', '.join(sorted(KINDS))}; fit the codebook again"
        )
    kind = RenamedLevel if "names" in tensors else KINDS[card["kind"]]
    return kind.restore(card, tensors)
