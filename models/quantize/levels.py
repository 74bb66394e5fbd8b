"""Levels of a codebook: a level maps vectors to codes and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

KINDS: dict[str, type[Level]] = {}
"""All kinds of level in the imported modules, by the name on a codebook's card."""


class Level(ABC):
    """Interface of a level; each level of a codebook quantizes the residual of the previous levels.

    Attributes:
        kind: name on a codebook's card; a class that sets it can be read from a saved codebook.
    """

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls) and KINDS.setdefault(cls.kind, cls) is not cls:
            raise ValueError(f"two kinds of level have the name {cls.kind}; rename one of them")

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of codes; they are 0 to size - 1."""

    @abstractmethod
    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """Codes of residuals, shape (n, d) to (n,)."""

    @abstractmethod
    def decode(self, codes: NDArray[np.int32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors that codes add to the reconstruction by the previous levels.

        Args:
            codes: codes of this level, shape (n,).
            before: reconstruction by the previous levels, shape (n, d).

        Returns:
            Shape (n, d).
        """

    @abstractmethod
    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared distance to every code in the level's own space; shape (n, d) to (n, size)."""

    @abstractmethod
    def card(self) -> dict[str, Any]:
        """The level's entry on a codebook's card, with its ``kind``; together with :meth:`tensors` it restores it."""

    @abstractmethod
    def tensors(self) -> dict[str, torch.Tensor]:
        """The level's tensors, for a saved codebook."""

    @classmethod
    @abstractmethod
    def restore(cls, card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Level:
        """Restores a level from its :meth:`card` and :meth:`tensors`."""


class RenamedLevel(Level):
    """A level with renumbered codes, so that they agree with the codes of an earlier codebook.

    Args:
        level: the level with its original codes.
        names: new number of each original code, a permutation of 0 to size - 1, shape (size,).

    Raises:
        ValueError: ``names`` is not a permutation.
    """

    def __init__(self, level: Level, names: NDArray[np.int32]) -> None:
        if not np.array_equal(np.sort(names), np.arange(level.size)):
            raise ValueError(f"the names of {level.size} codes must be 0 to {level.size - 1}, each once")
        self.level = level
        self.names = np.ascontiguousarray(names, np.int32)
        self._codes = np.argsort(self.names).astype(np.int32)

    @property
    def size(self) -> int:
        """Number of codes."""
        return self.level.size

    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """Renumbered codes of residuals, shape (n, d) to (n,)."""
        return self.names[self.level.encode(vectors)]

    def decode(self, codes: NDArray[np.int32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors that renumbered codes add to the previous levels, shape (n,) to (n, d)."""
        return self.level.decode(self._codes[codes], before)

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared distance to every code, in the order of the new numbers; shape (n, d) to (n, size)."""
        return self.level.distances(vectors)[:, self._codes]

    def card(self) -> dict[str, Any]:
        """The card of the original level."""
        return self.level.card()

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors of the original level, and the new numbers."""
        return {**self.level.tensors(), "names": torch.from_numpy(self.names)}

    @classmethod
    def restore(cls, card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> RenamedLevel:
        """Restores the original level and renumbers its codes."""
        own = {name: tensor for name, tensor in tensors.items() if name != "names"}
        return cls(KINDS[card["kind"]].restore(card, own), tensors["names"].numpy())


def restored(card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Level:
    """Restores a saved level, renumbered if it was saved so.

    Raises:
        ValueError: the kind of level is unknown.
    """
    # A method's file may define a kind of level, so all methods are imported first. The import is not at the top,
    # because methods import codebooks, which import this file.
    from models.quantize import methods  # noqa: F401

    if card["kind"] not in KINDS:
        raise ValueError(
            f"the codebook has a level of unknown kind {card['kind']}; the known kinds are"
            f" {', '.join(sorted(KINDS))}; fit the codebook again"
        )
    kind = RenamedLevel if "names" in tensors else KINDS[card["kind"]]
    return kind.restore(card, tensors)
