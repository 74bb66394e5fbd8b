"""Nearest items of an item by embedding (the VQ code of QARM V1)."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from models.quantize.same_blocks import same_blocks

BLOCK = 65_536
POINTS_PER_LIST = 64
LEAST_POINTS_PER_LIST = 39  # faiss warns of fewer
HNSW_LINKS = 32
HNSW_SEARCHED = 128
PROBED_SHARE = 1 / 64
LEAST_PROBES = 16
QUERIES = 256
"""Queries of a block; a task has about a thousand, and larger blocks would be filled up with more zeros."""


def nearest_others(
    queries: NDArray[np.float32], embeddings: NDArray[np.float32] | faiss.Index, own: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """The k nearest other embeddings of each query by inner product.

    Args:
        queries: shape (n, d).
        embeddings: an array of shape (m, d) for an exact search, or an index of it for an approximate search.
        own: position of each query in ``embeddings``, shape (n,); it is left out of the result.
        k: number of neighbours.

    Returns:
        Positions, nearest first, shape (n, min(k, m - 1)), padded with -1 if an index finds fewer.
    """
    count = embeddings.ntotal if isinstance(embeddings, faiss.Index) else len(embeddings)
    k = min(k, count - 1)
    if k <= 0:
        return np.empty((len(queries), 0), np.int64)
    found = np.concatenate([_search(block, embeddings, k + 1) for block in same_blocks(queries, QUERIES)])[
        : len(queries)
    ]
    others = found != own[:, None]
    # If equal embeddings push a query's own row out of the k + 1, the last one is dropped instead.
    others[others.all(1), -1] = False
    return found[others].reshape(len(queries), k)


def _search(queries: NDArray[np.float32], embeddings: NDArray[np.float32] | faiss.Index, k: int) -> NDArray[np.int64]:
    found: NDArray[np.int64]
    if isinstance(embeddings, faiss.Index):
        _, found = embeddings.search(queries, k)
    else:
        _, found = faiss.knn(queries, embeddings, k, metric=faiss.METRIC_INNER_PRODUCT)
    return found


def write_index(embeddings: NDArray[np.float32], kind: str, path: Path) -> None:
    """Builds an approximate index of embeddings and writes it to a file.

    Memory: a copy of the embeddings, and for ``hnsw`` also 256 bytes of links per embedding. ``ivf`` is deterministic;
    ``hnsw`` depends on the timing of threads.

    Args:
        embeddings: shape (m, d); may be memory-mapped.
        kind: ``ivf`` (``4 * sqrt(m)`` inverted lists, of which a query searches 1/64) or ``hnsw``.
        path: path of the file.
    """
    count, dimension = embeddings.shape
    index = _hnsw(dimension) if kind == "hnsw" else _trained_ivf(embeddings)
    for start in range(0, count, BLOCK):
        index.add(np.ascontiguousarray(embeddings[start : start + BLOCK]))
    faiss.write_index(index, str(path))


def _hnsw(dimension: int) -> faiss.Index:
    index = faiss.IndexHNSWFlat(dimension, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = HNSW_SEARCHED
    return index


def _trained_ivf(embeddings: NDArray[np.float32]) -> faiss.Index:
    count, dimension = embeddings.shape
    lists = max(1, min(4 * math.isqrt(count), count // LEAST_POINTS_PER_LIST))
    index = faiss.index_factory(dimension, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(np.ascontiguousarray(embeddings[:: max(1, count // (lists * POINTS_PER_LIST))]))
    faiss.extract_index_ivf(index).nprobe = min(lists, max(LEAST_PROBES, int(lists * PROBED_SHARE)))
    return index


@cache
def read_index(path: Path) -> faiss.Index:
    """Opens an index file memory-mapped; cached per process."""
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
