"""K-means levels: a vector's code is the nearest centroid (QARM V2, Res-KmeansFSQ); optionally balanced by prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax

from models.quantize.levels import Level

BLOCK = 16_384
"""Vectors processed at a time, so that no step holds a second copy of all vectors."""

PRICE_SAMPLE = 65_536
"""Vectors in the sample that prices are computed on."""

ROUNDS = 10
SINKHORN_ITERATIONS = 10
SMOOTHING = 0.3
"""Entropic regularisation of the transport, relative to the mean difference between the squared distances to the
second nearest and the nearest centroid."""


class KMeansLevel(Level):
    """A level of centroids; a balanced level also has prices, which are added to the squared distances.

    Args:
        centroids: shape (size, d).
        prices: price of each centroid, at least 0, shape (size,); None for an unbalanced level.
    """

    kind = "kmeans"

    def __init__(self, centroids: NDArray[np.float32], prices: NDArray[np.float32] | None = None) -> None:
        self.centroids = np.ascontiguousarray(centroids, np.float32)
        self.prices = prices
        # An extra coordinate, 0 in every vector, makes the price part of the squared distance, for an exact search.
        self._searched = (
            self.centroids if prices is None else np.column_stack([self.centroids, np.sqrt(prices)]).astype(np.float32)
        )

    @property
    def size(self) -> int:
        """Number of centroids."""
        return len(self.centroids)

    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """The centroid with the smallest squared distance plus price, by exact search; shape (n, d) to (n,)."""
        vectors = np.ascontiguousarray(vectors, np.float32)
        if self.prices is not None:
            vectors = np.column_stack([vectors, np.zeros(len(vectors), np.float32)])
        _, found = faiss.knn(vectors, self._searched, 1)
        return found[:, 0].astype(np.int32)

    def decode(self, codes: NDArray[np.int32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """Centroids of the codes, independent of ``before``; shape (n,) to (n, d)."""
        return self.centroids[codes]

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared distance plus price of every centroid; shape (n, d) to (n, size)."""
        squared: NDArray[np.float32] = faiss.pairwise_distances(np.ascontiguousarray(vectors), self.centroids)
        return squared if self.prices is None else squared + self.prices

    def card(self) -> dict[str, Any]:
        """The number of centroids."""
        return {"kind": self.kind, "centroids": self.size}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Centroids and prices."""
        kept = {"centroids": torch.from_numpy(self.centroids)}
        return kept if self.prices is None else {**kept, "prices": torch.from_numpy(self.prices)}

    @classmethod
    def restore(cls, card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> KMeansLevel:
        """The level with these centroids and prices."""
        prices = tensors.get("prices")
        return cls(tensors["centroids"].numpy(), None if prices is None else prices.numpy())


def fit_kmeans(
    vectors: NDArray[np.float32],
    size: int,
    *,
    iterations: int,
    seed: int,
    balanced: bool = False,
    start: NDArray[np.float32] | None = None,
) -> KMeansLevel:
    """Fits a k-means level by faiss's Lloyd iterations, on GPUs if faiss has any.

    Memory: the vectors, which are not copied if they are float32 and contiguous (they may be memory-mapped), and a
    block of them; with ``balanced``, also a few arrays of 65,536 by ``size`` numbers.

    Args:
        vectors: shape (n, d).
        size: number of centroids; lowered to the number of vectors if that is smaller.
        iterations: number of Lloyd iterations.
        seed: random seed of the initial centroids.
        balanced: whether prices are then fitted that give all centroids about the same number of vectors.
        start: initial centroids for a warm start, shape (size, d); None to draw them from the vectors.

    Raises:
        ValueError: there are no vectors.
    """
    if len(vectors) == 0:
        raise ValueError("k-means needs at least one vector")
    vectors = np.ascontiguousarray(vectors, np.float32)
    size = min(size, len(vectors))
    kmeans = faiss.Kmeans(
        vectors.shape[1], size, niter=iterations, seed=seed, gpu=faiss.get_num_gpus() > 0,
        min_points_per_centroid=1, max_points_per_centroid=len(vectors) // size + 1,
    )  # fmt: skip
    kmeans.train(vectors, init_centroids=start if start is not None and len(start) == size else None)
    level = KMeansLevel(np.ascontiguousarray(kmeans.centroids, np.float32))
    return _balance(vectors, level) if balanced else level


def _balance(vectors: NDArray[np.float32], level: KMeansLevel) -> KMeansLevel:
    """Alternates between fitting prices that balance the centroids and moving the centroids to their vectors' means.

    The prices are the dual variables of the optimal transport from the vectors to centroids of equal mass, computed by
    Sinkhorn iterations (Cuturi 2013) on a sample. The hard assignment with these prices is approximately balanced.
    """
    centroids, prices = level.centroids, np.zeros(level.size, np.float32)
    if level.size == 1:
        return level
    sample = np.ascontiguousarray(vectors[:: -(-len(vectors) // PRICE_SAMPLE)])
    nearest_two, _ = faiss.knn(sample, centroids, 2)
    smoothing = max(SMOOTHING * float((nearest_two[:, 1] - nearest_two[:, 0]).mean()), 1e-12)
    for _ in range(ROUNDS):
        prices = _equal_mass_prices(faiss.pairwise_distances(sample, centroids), prices, smoothing)
        level = KMeansLevel(centroids, prices)
        codes = _encode_all(vectors, level)
        load = np.bincount(codes, minlength=level.size)[:, None]
        means = _sums(vectors, codes, level.size) / np.maximum(load, 1)
        centroids = np.where(load > 0, means, centroids).astype(np.float32)
    return KMeansLevel(centroids, prices)


def _equal_mass_prices(
    distances: NDArray[np.float32], prices: NDArray[np.float32], smoothing: float
) -> NDArray[np.float32]:
    """Updates prices by Sinkhorn iterations on squared distances of shape (n, size)."""
    size = distances.shape[1]
    for _ in range(SINKHORN_ITERATIONS):
        mass = softmax((distances + prices) / -smoothing, axis=1).mean(0) * size
        prices = prices + smoothing * np.log(np.maximum(mass, 1e-3)).astype(np.float32)
    return prices - prices.min()


def blocks(n: int) -> Iterator[slice]:
    """Divides rows 0 to n - 1 into blocks."""
    return (slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


def _encode_all(vectors: NDArray[np.float32], level: KMeansLevel) -> NDArray[np.int32]:
    return np.concatenate([level.encode(vectors[rows]) for rows in blocks(len(vectors))])


def _sums(vectors: NDArray[np.float32], codes: NDArray[np.int32], size: int) -> NDArray[np.float64]:
    """Sum of the vectors with each code, shape (size, d)."""
    total = np.zeros((size, vectors.shape[1]))
    for rows in blocks(len(vectors)):
        part = codes[rows]
        member = sparse.csr_matrix((np.ones(len(part), np.float32), (part, np.arange(len(part)))), (size, len(part)))
        total += member @ vectors[rows]
    return total
