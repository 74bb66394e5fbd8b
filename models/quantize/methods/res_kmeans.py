"""Residual k-means: levels of nearest centroids, each on what the ones before left over."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from models.quantize.codebook import Codebook
from models.quantize.method import LEVELS, Method, default_bits
from models.quantize.residual_kmeans import fit_residual_kmeans


class ResKMeans(Method):
    """As many levels of nearest centroids as ``codebook.kmeans.sizes`` names."""

    name = "res_kmeans"
    description = "k-means levels, each on the residual of the ones before"
    reads = ("kmeans",)
    levels: ClassVar[int] = LEVELS
    """Where the settings name no sizes."""

    def sizes(self, contents: int) -> list[int]:
        """Codes of every level."""
        return self.settings.kmeans.sizes or [2 ** default_bits(contents)] * self.levels

    def _fit(self, vectors: NDArray[np.float32], contents: int, start: Codebook | None) -> Codebook:
        s = self.settings
        levels, _ = fit_residual_kmeans(vectors, self.sizes(contents), s.kmeans, seed=s.seed, start=start)
        return Codebook(levels, vectors.shape[1], self.name)
