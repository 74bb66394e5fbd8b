"""How good codes are, by the definitions of docs/definitions.md."""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np
from numpy.typing import NDArray


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
