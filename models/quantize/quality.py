"""How good codes are, by the definitions of docs/definitions.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

from models.quantize.codebook import Codebook

COLLAPSED = 0.5


def reconstruction_errors(embeddings: NDArray[np.float32], reconstructions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared L2 distance to the reconstruction over the squared norm, of every row; shape (n,)."""
    distance = ((embeddings - reconstructions) ** 2).sum(1)
    return (distance / (embeddings**2).sum(1)).astype(np.float32)


def hit_rates(
    embeddings: NDArray[np.float32], reconstructions: NDArray[np.float32], ks: Sequence[int]
) -> dict[int, float]:
    """HR@k of codes: share of rows found among the k nearest embeddings to their own reconstruction.

    Args:
        embeddings: shape (n, d).
        reconstructions: of the same rows.
        ks: cut-offs.
    """
    k = min(max(ks), len(embeddings))
    _, found = faiss.knn(reconstructions, np.ascontiguousarray(embeddings), k)
    hits = found == np.arange(len(embeddings))[:, None]
    return {cut: float(hits[:, :cut].any(1).mean()) for cut in ks}


def quality_of(codebook: Codebook, embeddings: NDArray[np.float32]) -> dict[str, float]:
    """Every number that a codebook's card gives, over distinct contents.

    Args:
        codebook: fitted.
        embeddings: of distinct contents, shape (n, d).

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
    """Levels, from 1, whose codes carry less than half the bits that they could over so many contents.

    Args:
        quality: of :func:`quality_of`.
        sizes: codes of every level.
        contents: that it was fitted on.
    """
    most = [math.log2(max(min(size, contents), 1)) for size in sizes]
    return [i for i, bits in enumerate(most, 1) if quality[f"entropy_bits.level_{i}"] < COLLAPSED * bits]


def collision_numbers(bucket_sizes: NDArray[np.int64], bucket_counts: NDArray[np.int64]) -> dict[str, float]:
    """Collision rate, unique rate and mean bucket size.

    Args:
        bucket_sizes: distinct numbers of items that share one SID.
        bucket_counts: how many SIDs have that many items.

    Returns:
        ``collision_rate``: items sharing their SID with another / items. ``unique_rate``: distinct SIDs / items.
        ``items_per_sid``: mean over items of the size of their SID's bucket.
    """
    items = int((bucket_sizes * bucket_counts).sum())
    alone = int(bucket_counts[bucket_sizes == 1].sum())
    return {
        "collision_rate": 1 - alone / items,
        "unique_rate": int(bucket_counts.sum()) / items,
        "items_per_sid": float((bucket_sizes.astype(np.float64) ** 2 * bucket_counts).sum() / items),
    }


def entropy(counts: NDArray[np.int64]) -> float:
    """Shannon entropy, in bits, of how often each code is used."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
