"""The methods that fit a codebook, behind one function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from models.quantize.codebook import Codebook, assert_finite
from models.quantize.fsq import FsqLevel
from models.quantize.fsq_training import FsqParameters, fit_fsq
from models.quantize.kmeans import KMeansLevel, blocks, fit_kmeans
from models.quantize.levels import Level, RenamedLevel
from models.quantize.prefix_means import PrefixMeans, fit_prefix_means, others_means, take_others_means
from models.quantize.rq_vae import RqVaeParameters, fit_rq_vae

KMEANS_LEVELS = {"res_kmeans_fsq": 2, "res_kmeans": 3, "vq": 1, "rq_vae": 3, "fsq": 0}
"""Levels of nearest centroids of every method, where the settings name no sizes."""

LEVELS = 3
"""Levels that the default sizes are made for: an FSQ alone gets as many codes as three levels would give SIDs."""

LARGEST_DEFAULT = 4096
MOST_BITS = 30


@dataclass(frozen=True)
class CodebookParameters:
    """What a codebook is fitted with.

    Attributes:
        method: a key of ``KMEANS_LEVELS``.
        kmeans_sizes: codes of every level of nearest centroids; empty for the default.
        kmeans_iterations: Lloyd iterations.
        kmeans_balanced: whether centroids take about equally many vectors.
        fsq: of the FSQ level; its levels may be empty, for the default.
        prefix_minimum: contents from which on a prefix has a mean of its own before the FSQ level; 0 for no means. The
            mirrored decoder, which does not know the prefix, has none.
        rq_vae: of an RQ-VAE.
        seed: of everything random.
    """

    method: str
    kmeans_sizes: Sequence[int]
    kmeans_iterations: int
    kmeans_balanced: bool
    fsq: FsqParameters
    prefix_minimum: int
    rq_vae: RqVaeParameters
    seed: int


def default_bits(contents: int) -> int:
    """Bits of one level: as many codes as the smallest power of two whose square is at least the distinct contents.

    256 for twenty thousand, 1024 for a million, 4096 (the paper's, and the most) for ten million.
    """
    return min(max(math.ceil(math.log2(max(contents, 2)) / 2), 1), int(math.log2(LARGEST_DEFAULT)))


def with_sizes(parameters: CodebookParameters, contents: int) -> CodebookParameters:
    """The parameters with default sizes in place of those left empty.

    Args:
        parameters: what the settings say.
        contents: distinct contents that will have codes.
    """
    p, bits = parameters, default_bits(contents)
    sizes = list(p.kmeans_sizes) or [2**bits] * KMEANS_LEVELS[p.method]
    dimensions = min(LEVELS * bits, MOST_BITS) if p.method == "fsq" else bits
    return replace(p, kmeans_sizes=sizes, fsq=replace(p.fsq, levels=list(p.fsq.levels) or [2] * dimensions))


def fit_codebook(
    embeddings: NDArray[np.float32],
    parameters: CodebookParameters,
    contents: int | None = None,
    start: Codebook | None = None,
    overwrite: bool = False,
) -> Codebook:
    """Fits all levels, each on what the ones before left over.

    Memory: the embeddings once, and once more unless they may be overwritten; a few blocks of 16,384 beside them; the
    means of at most 131,072 prefixes.

    Args:
        embeddings: L2-normalised, shape (n, d).
        parameters: method, sizes and training.
        contents: distinct contents that will have codes, for the default sizes; None for n.
        start: a codebook of the same embedding space to start from, so that codes mean what they did; levels of other
            shapes start anew.
        overwrite: whether ``embeddings`` may hold the last residual afterwards; a writable memory-mapped file then
            serves for samples larger than memory.

    Raises:
        ValueError: no embeddings, or some that are not finite.
    """
    if len(embeddings) == 0:
        raise ValueError("a codebook needs at least one embedding to be fitted on")
    for rows in blocks(len(embeddings)):
        assert_finite(embeddings[rows])
    p = with_sizes(parameters, contents or len(embeddings))
    dimension = embeddings.shape[1]
    if p.method == "rq_vae":
        space, quantizers = fit_rq_vae(embeddings, p.kmeans_sizes, p.rq_vae, p.seed)
        return Codebook(quantizers, dimension, p.method, space)
    residual = embeddings if overwrite else embeddings.copy()
    levels: list[Level] = []
    codes: list[NDArray[np.int32]] = []
    means: PrefixMeans | None = None
    for place, size in enumerate(p.kmeans_sizes if p.method != "fsq" else ()):
        old = _inner(start, place)
        centroids = old.centroids if isinstance(old, KMeansLevel) and old.centroids.shape == (size, dimension) else None
        level = fit_kmeans(residual, size, p.kmeans_iterations, p.seed + place, p.kmeans_balanced, centroids)
        levels.append(level)
        codes.append(_take_away(residual, level))
    if p.method in ("res_kmeans_fsq", "fsq"):
        old = _inner(start, len(levels))
        warm = old if isinstance(old, FsqLevel) else None
        centroids_of = [level.centroids for level in levels if isinstance(level, KMeansLevel)]
        prefixes = np.stack(codes, axis=1) if codes else None
        if prefixes is not None and p.prefix_minimum and p.fsq.decoder == "prefix":
            means = fit_prefix_means(residual, prefixes, [level.size for level in levels], p.prefix_minimum)
            take_others_means(means, residual, prefixes)

        def before(rows: torch.Tensor) -> torch.Tensor:
            chosen = rows.numpy()
            stood = np.zeros((len(chosen), dimension), np.float32)
            for centroids, code in zip(centroids_of, codes, strict=True):
                stood += centroids[code[chosen]]
            if means is not None and prefixes is not None:
                stood += others_means(means, residual[chosen], prefixes[chosen])
            return torch.from_numpy(stood)

        levels.append(fit_fsq(residual, replace(p.fsq, seed=p.seed), before if levels else None, warm))
    return Codebook(levels, dimension, p.method, prefix_means=means)


def _take_away(residual: NDArray[np.float32], level: KMeansLevel) -> NDArray[np.int32]:
    """Subtracts every row's centroid in place, and gives the codes."""
    codes = np.empty(len(residual), np.int32)
    for rows in blocks(len(residual)):
        codes[rows] = level.encode(residual[rows])
        residual[rows] -= level.centroids[codes[rows]]
    return codes


def _inner(codebook: Codebook | None, place: int) -> Level | None:
    if codebook is None or place >= len(codebook.levels):
        return None
    level = codebook.levels[place]
    return level.level if isinstance(level, RenamedLevel) else level
