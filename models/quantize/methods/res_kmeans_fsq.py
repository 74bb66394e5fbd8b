"""Res-KmeansFSQ (QARM V2): residual k-means, then FSQ on the last residual."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from models.quantize.codebook import Codebook
from models.quantize.fsq_training import Before, fit_fsq, fsq_of
from models.quantize.kmeans import KMeansLevel
from models.quantize.method import LEVELS, Method, default_bits
from models.quantize.prefix_means import PrefixMeans, fit_prefix_means, others_means, take_others_means
from models.quantize.residual_kmeans import fit_residual_kmeans


class ResKMeansFsq(Method):
    """K-means levels, a mean residual per prefix, and an FSQ level whose decoder reads both.

    There are no prefix means with ``codebook.fsq.decoder`` other than ``prefix``, because such a decoder does not read
    the prefix. Memory of a fit: a few blocks of 16,384 vectors, and the means of at most 131,072 prefixes.
    """

    name = "res_kmeans_fsq"
    description = "two k-means levels and an FSQ level on their residual (QARM V2)"
    reads = ("kmeans", "fsq")

    def sizes(self, contents: int) -> list[int]:
        """Number of codes of every level, the FSQ level last."""
        return [*self._centroids(contents), math.prod(self._dimensions(contents))]

    def _centroids(self, contents: int) -> list[int]:
        return self.settings.kmeans.sizes or [2 ** default_bits(contents)] * (LEVELS - 1)

    def _dimensions(self, contents: int) -> list[int]:
        return self.settings.fsq.levels or [2] * default_bits(contents)

    def _fit(self, vectors: NDArray[np.float32], contents: int, start: Codebook | None) -> Codebook:
        s = self.settings
        levels, codes = fit_residual_kmeans(vectors, self._centroids(contents), s.kmeans, seed=s.seed, start=start)
        means = None
        if s.fsq.prefix_minimum and s.fsq.decoder == "prefix":
            means = fit_prefix_means(vectors, codes, [level.size for level in levels], s.fsq.prefix_minimum)
            take_others_means(means, vectors, codes)
        last = fit_fsq(
            vectors,
            s.fsq.model_copy(update={"levels": self._dimensions(contents)}),
            seed=s.seed,
            before=_before(levels, codes, means, vectors),
            start=fsq_of(start, len(levels)),
        )
        return Codebook([*levels, last], vectors.shape[1], self.name, prefix_means=means)


def _before(
    levels: list[KMeansLevel], codes: NDArray[np.int32], means: PrefixMeans | None, residual: NDArray[np.float32]
) -> Before:
    """Maps rows to their reconstruction: the sum of their centroids and of the mean of their prefix."""

    def before(rows: torch.Tensor) -> torch.Tensor:
        chosen = rows.numpy()
        reconstruction = np.zeros((len(chosen), residual.shape[1]), np.float32)
        for level, code in zip(levels, codes[chosen].T, strict=True):
            reconstruction += level.centroids[code]
        if means is not None:
            reconstruction += others_means(means, residual[chosen], codes[chosen])
        return torch.from_numpy(reconstruction)

    return before
