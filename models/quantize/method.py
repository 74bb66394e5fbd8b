"""The interface of a quantizer method: it fits a codebook, names the settings that it reads, and checks them."""

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
"""Default number of levels. A single FSQ level gets by default as many codes as three levels have SIDs."""

LARGEST_DEFAULT = 4096

MOST_NEXT_BEST = 65_536
"""Largest last level for ``codebook.collisions = "next_best"``, which compares all of its codes."""


def default_bits(contents: int) -> int:
    """Default number of bits of a level: the square of its number of codes is at least the number of contents.

    For example, 256 codes for 20,000 contents, 1,024 for a million, 4,096 (the paper's size, and the maximum) for ten
    million.
    """
    return min(max(math.ceil(math.log2(max(contents, 2)) / 2), 1), int(math.log2(LARGEST_DEFAULT)))


class Method(ABC):
    """A method that fits a codebook.

    To add a method, add a file with a subclass to :mod:`models.quantize.methods`.

    Attributes:
        name: the value of ``codebook.method`` that selects it.
        description: description in one line.
        reads: subsections and settings of ``[codebook]`` that it reads: ``"fsq"`` is a whole subsection,
            ``"kmeans.sizes"`` one setting. They and the settings directly in ``[codebook]`` are a codebook's recipe.
        settings: the ``[codebook]`` section.
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
        """Number of codes of every level: from the settings, or the defaults for sizes left empty.

        Args:
            contents: number of distinct contents that will get codes.
        """

    def check(self) -> None:
        """Checks that the settings are compatible.

        Raises:
            ValueError: two settings contradict each other.
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

        Memory: the embeddings, a copy of them unless ``overwrite``, and the memory that the method documents.

        Args:
            embeddings: L2-normalised embeddings, shape (n, d).
            contents: number of distinct contents that will get codes, for the default sizes; None for n.
            start: codebook of the same embedding space for a warm start, which keeps the meaning of codes; levels with
                other shapes start from scratch.
            overwrite: whether ``embeddings`` may be overwritten by residuals; with a writable memory-mapped array this
                allows samples larger than memory.

        Raises:
            ValueError: there are no embeddings, or some contain NaN or infinity.
        """
        if len(embeddings) == 0:
            raise ValueError("a codebook needs at least one embedding to be fitted on; run embed_items first")
        for rows in blocks(len(embeddings)):
            assert_finite(embeddings[rows])
        return self._fit(embeddings if overwrite else embeddings.copy(), contents or len(embeddings), start)

    @abstractmethod
    def _fit(self, vectors: NDArray[np.float32], contents: int, start: Codebook | None) -> Codebook:
        """Fits all levels; it may overwrite the vectors, shape (n, d)."""
