"""What a quantizer method is: it fits a codebook, and says what it reads of the settings and what it refuses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.quantize.codebook import Codebook, assert_finite
from models.quantize.kmeans import blocks
from schemas.codebook_sections import CodebookSettings
from schemas.recipe import recipe_of

LEVELS = 3
"""Levels that the default sizes are made for: an FSQ alone gets as many codes as three levels would give SIDs."""

LARGEST_DEFAULT = 4096

MOST_NEXT_BEST = 65_536
"""Codes of the last level that ``codebook.collisions = "next_best"`` compares."""


def default_bits(contents: int) -> int:
    """Bits of one level: as many codes as the smallest power of two whose square is at least the distinct contents.

    256 for twenty thousand, 1024 for a million, 4096 (the paper's, and the most) for ten million.
    """
    return min(max(math.ceil(math.log2(max(contents, 2)) / 2), 1), int(math.log2(LARGEST_DEFAULT)))


class Method(ABC):
    """One way to fit a codebook. A new one is a subclass in a file of its own in :mod:`models.quantize.methods`.

    Attributes:
        name: its value of ``codebook.method``.
        description: one line.
        reads: what it reads of the sections in ``[codebook]``: ``"fsq"`` is a whole section, ``"kmeans.sizes"`` one
            setting. With the settings of ``[codebook]`` itself they are the recipe of a codebook.
        settings: of the codebook.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]

    def __init__(self, settings: CodebookSettings) -> None:
        self.settings = settings

    @property
    def recipe(self) -> dict[str, Any]:
        """The settings that a codebook of this method depends on."""
        return recipe_of(self.settings, self.reads)

    @abstractmethod
    def sizes(self, contents: int) -> list[int]:
        """Codes of every level: what the settings say, defaults where they leave it empty.

        Args:
            contents: distinct contents that will have codes.
        """

    def check(self) -> None:
        """Refuses settings that do not go together.

        Raises:
            ValueError: with the setting and the way out.
        """
        if self.settings.collisions != "next_best":
            return
        sizes = self.sizes(1)
        if len(sizes) == 1:
            raise ValueError(
                f"codebook.collisions: next_best moves the last of several codes; method {self.name} has only one with"
                " these settings. Set keep or suffix, or another codebook.method"
            )
        if sizes[-1] > MOST_NEXT_BEST:
            raise ValueError(
                f"codebook.collisions: next_best compares at most {MOST_NEXT_BEST} codes of the last level, which has"
                f" {sizes[-1]}; set keep or suffix, or a smaller level"
            )

    def fit(
        self,
        embeddings: NDArray[np.float32],
        *,
        contents: int | None = None,
        start: Codebook | None = None,
        overwrite: bool = False,
    ) -> Codebook:
        """Fits all levels.

        Memory: the embeddings once, and once more unless they may be overwritten; beside them what the method says.

        Args:
            embeddings: L2-normalised, shape (n, d).
            contents: distinct contents that will have codes, for the default sizes; None for n.
            start: a codebook of the same embedding space to start from, so that codes mean what they did; levels of
                other shapes start anew.
            overwrite: whether ``embeddings`` may hold the last residual afterwards; a writable memory-mapped file then
                serves for samples larger than memory.

        Raises:
            ValueError: no embeddings, or some that are not finite.
        """
        if len(embeddings) == 0:
            raise ValueError("a codebook needs at least one embedding to be fitted on")
        for rows in blocks(len(embeddings)):
            assert_finite(embeddings[rows])
        return self._fit(embeddings if overwrite else embeddings.copy(), contents or len(embeddings), start)

    @abstractmethod
    def _fit(self, vectors: NDArray[np.float32], contents: int, start: Codebook | None) -> Codebook:
        """Fits all levels; the vectors, shape (n, d), may be overwritten."""
