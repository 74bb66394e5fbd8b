"""A single FSQ level that quantizes the embeddings."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from models.quantize.codebook import Codebook
from models.quantize.fsq_training import fit_fsq, fsq_of
from models.quantize.method import LEVELS, Method, default_bits

MOST_BITS = 30


class Fsq(Method):
    """A codebook of one FSQ level."""

    name = "fsq"
    description = "one FSQ level, on the embeddings themselves"
    reads = ("fsq",)

    def sizes(self, contents: int) -> list[int]:
        """Number of codes of the single level."""
        return [math.prod(self._dimensions(contents))]

    def _dimensions(self, contents: int) -> list[int]:
        return self.settings.fsq.levels or [2] * min(LEVELS * default_bits(contents), MOST_BITS)

    def _fit(self, vectors: NDArray[np.float32], contents: int, start: Codebook | None) -> Codebook:
        settings = self.settings.fsq.model_copy(update={"levels": self._dimensions(contents)})
        level = fit_fsq(vectors, settings, seed=self.settings.seed, start=fsq_of(start, 0))
        return Codebook([level], vectors.shape[1], self.name)
