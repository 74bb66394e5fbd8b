"""QARM V1's VQ code: the nearest items of an item, by embedding."""

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


def nearest_others(
    queries: NDArray[np.float32], embeddings: NDArray[np.float32] | faiss.Index, own: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """The k nearest embeddings by inner product, an item's own left out.

    Args:
        queries: shape (n, d).
        embeddings: shape (m, d), searched exactly; or an index of them, searched as well as it can.
        own: position of each query in ``embeddings``, shape (n,).
        k: neighbours wanted.

    Returns:
        Positions, nearest first, shape (n, min(k, m - 1)); -1 where an index found fewer.
    """
    count = embeddings.ntotal if isinstance(embeddings, faiss.Index) else len(embeddings)
    k = min(k, count - 1)
    if k <= 0:
        return np.empty((len(queries), 0), np.int64)
    found = np.concatenate([_search(block, embeddings, k + 1) for block in same_blocks(queries)])[: len(queries)]
    others = found != own[:, None]
    # Where the own row is not among the k + 1 (equal embeddings crowd it out), the last one goes instead.
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

    Memory: the embeddings once beside those given, and for ``hnsw`` 256 bytes of links each. Deterministic for ``ivf``;
    ``hnsw`` links as threads come.

    Args:
        embeddings: shape (m, d); a memory-mapped file serves.
        kind: ``ivf`` (inverted lists, four times the root of the count; a sixty-fourth is searched) or ``hnsw``.
        path: of the file.
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
    """An index from its file, memory-mapped, once a process."""
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
