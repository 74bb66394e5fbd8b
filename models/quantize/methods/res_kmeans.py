"""Residual k-means: each level quantizes the residual of the previous levels to the nearest centroid."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from models.quantize.codebook import Codebook
from models.quantize.method import LEVELS, Method, default_bits
from models.quantize.residual_kmeans import fit_residual_kmeans


class ResKMeans(Method):
    """A codebook of k-means levels, one for each entry of ``codebook.kmeans.sizes``."""

    name = "res_kmeans"
    description = "k-means levels, each on the residual of the ones before"
    reads = ("kmeans",)
    levels: ClassVar[int] = LEVELS
    """Number of levels if the settings name no sizes."""

    def sizes(self, contents: int) -> list[int]:
        """Number of codes of every level."""
        return self.settings.kmeans.sizes or [2 ** default_bits(contents)] * self.levels

    def _fit(self, vectors: NDArray[np.float32], contents: int, start: Codebook | None) -> Codebook:
        s = self.settings
        levels, _ = fit_residual_kmeans(vectors, self.sizes(contents), s.kmeans, seed=s.seed, start=start)
        return Codebook(levels, vectors.shape[1], self.name)
