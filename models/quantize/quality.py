"""Quality measures of codes, as defined in docs/definitions.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

from models.quantize.codebook import Codebook

COLLAPSED = 0.5


def reconstruction_errors(embeddings: NDArray[np.float32], reconstructions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared L2 distance to the reconstruction, divided by the squared norm of the embedding; shape (n,)."""
    distance = ((embeddings - reconstructions) ** 2).sum(1)
    return (distance / (embeddings**2).sum(1)).astype(np.float32)


def hit_rates(
    embeddings: NDArray[np.float32], reconstructions: NDArray[np.float32], ks: Sequence[int]
) -> dict[int, float]:
    """HR@k of codes: share of embeddings that are among the k nearest embeddings to their own reconstruction.

    Args:
        embeddings: shape (n, d).
        reconstructions: reconstruction of each embedding, shape (n, d).
        ks: the values of k.
    """
    k = min(max(ks), len(embeddings))
    _, found = faiss.knn(reconstructions, np.ascontiguousarray(embeddings), k)
    hits = found == np.arange(len(embeddings))[:, None]
    return {cut: float(hits[:, :cut].any(1).mean()) for cut in ks}


def quality_of(codebook: Codebook, embeddings: NDArray[np.float32]) -> dict[str, float]:
    """All quality measures on a codebook's card, over distinct contents.

    Args:
        codebook: a fitted codebook.
        embeddings: embeddings of distinct contents, shape (n, d).

    Returns:
        ``reconstruction_error`` (mean), ``hr@1``, ``hr@10``, ``collision_rate``, ``unique_rate``, ``items_per_sid``;
        per level ``used.level_<i>`` and ``entropy_bits.level_<i>``.
    """
    codes, _, reconstructions = codebook.assign_with_residuals(embeddings)
    _, sizes = np.unique(codes, axis=0, return_counts=True)
    bucket_sizes, bucket_counts = np.unique(sizes, return_counts=True)
    numbers = {"reconstruction_error": float(reconstruction_errors(embeddings, reconstructions).mean())}
    numbers |= {f"hr@{k}": rate for k, rate in hit_rates(embeddings, reconstructions, (1, 10)).items()}
    numbers |= collision_numbers(bucket_sizes, bucket_counts)
    for level, own in enumerate(codes.T, 1):
        counts = np.unique(own, return_counts=True)[1]
        numbers |= {f"used.level_{level}": len(counts), f"entropy_bits.level_{level}": entropy(counts)}
    return numbers


def collapsed_levels(quality: Mapping[str, float], sizes: Sequence[int], contents: int) -> list[int]:
    """Numbers, from 1, of levels whose entropy is below half its possible maximum for the number of contents.

    Args:
        quality: result of :func:`quality_of`.
        sizes: number of codes of every level.
        contents: number of contents that the codebook was fitted on.
    """
    most = [math.log2(max(min(size, contents), 1)) for size in sizes]
    return [i for i, bits in enumerate(most, 1) if quality[f"entropy_bits.level_{i}"] < COLLAPSED * bits]


def collision_numbers(bucket_sizes: NDArray[np.int64], bucket_counts: NDArray[np.int64]) -> dict[str, float]:
    """Collision rate, unique rate and mean number of items per SID.

    Args:
        bucket_sizes: numbers of items that share one SID; a number may occur twice.
        bucket_counts: number of SIDs that each entry of ``bucket_sizes`` stands for.

    Returns:
        ``collision_rate``: items that share their SID with another item / items. ``unique_rate``: distinct SIDs /
        items. ``items_per_sid``: mean over items of the number of items with the same SID.
    """
    items = int((bucket_sizes * bucket_counts).sum())
    alone = int(bucket_counts[bucket_sizes == 1].sum())
    return {
        "collision_rate": 1 - alone / items,
        "unique_rate": int(bucket_counts.sum()) / items,
        "items_per_sid": float((bucket_sizes.astype(np.float64) ** 2 * bucket_counts).sum() / items),
    }


def entropy(counts: NDArray[np.int64]) -> float:
    """Shannon entropy, in bits, of the distribution of codes, from the number of uses of each code."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
