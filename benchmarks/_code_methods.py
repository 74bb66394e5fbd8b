"""Compares all quantizer methods with the same number of SIDs on the same embeddings."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import faiss
import numpy as np

from models.quantize.method import LEVELS, default_bits
from models.quantize.methods import METHODS, method_of
from models.quantize.quality import collision_numbers, entropy, hit_rates, reconstruction_errors
from schemas.settings import load_settings

MANY = 100_000
HIT_SAMPLE = 5_000
TRIGGERS = 1_000
"""With more than ``MANY`` contents, hit rates are measured on a sample of ``HIT_SAMPLE`` contents and behaviour hit
rates on a sample of ``TRIGGERS`` triggers."""

K = 50
MAIN = ("res_kmeans_fsq (default)", "PCA-FSQ", "res_kmeans", "rq_vae", "faiss ResidualQuantizer")


class Faiss:
    """faiss's ResidualQuantizer behind the methods of a codebook that the comparison calls."""

    def __init__(self, vectors: np.ndarray, bits: int) -> None:
        self._bits = bits
        self._quantizer = faiss.ResidualQuantizer(vectors.shape[1], LEVELS, bits)
        self._quantizer.use_beam_LUT = 1
        self._quantizer.train(vectors)

    def assign_with_residuals(self, vectors: np.ndarray) -> tuple[np.ndarray, None, np.ndarray]:
        """Codes, None in place of residuals, and reconstructions."""
        packed = self._quantizer.compute_codes(vectors)
        bits = np.unpackbits(packed, axis=1, bitorder="little")[:, : LEVELS * self._bits]
        codes = bits.reshape(len(vectors), LEVELS, self._bits) @ (1 << np.arange(self._bits))
        return codes.astype(np.int32), None, self._quantizer.decode(packed)


VARIANTS: Mapping[str, Sequence[str]] = {
    "res_kmeans_fsq, no prefix means": ["fsq.prefix_minimum=0"],
    "res_kmeans_fsq, mirrored decoder": ["fsq.decoder=mirrored"],
    "res_kmeans_fsq, balanced": ["kmeans.balanced=true"],
    "PCA-FSQ": ["fsq.projection=pca", "fsq.decoder=mirrored"],
    "PCA-FSQ, prefix means and decoder": ["fsq.projection=pca"],
    "res_kmeans, balanced": ["method=res_kmeans", "kmeans.balanced=true"],
}
"""Variants of the default method, each as changes of the default settings."""


def methods(contents: int) -> dict[str, Callable[[np.ndarray], Any]]:
    """Fit functions by name; all methods have as many SIDs as three levels of the default size.

    These are all registered methods with this number of SIDs, :data:`VARIANTS`, and faiss's residual quantizer.

    Args:
        contents: number of contents, which determines the default size.
    """
    default = load_settings().codebook.method
    named = {f"{name} (default)" if name == default else name: [f"method={name}"] for name in METHODS}
    bits = default_bits(contents)
    chosen: dict[str, Callable[[np.ndarray], Any]] = {}
    for name, changes in {**named, **VARIANTS}.items():
        method = method_of(load_settings((), [f"codebook.{change}" for change in changes]).codebook)
        if math.prod(method.sizes(contents)) == 2 ** (bits * LEVELS):
            chosen[name] = partial(method.fit, contents=contents)
    return {**chosen, "faiss ResidualQuantizer": lambda vectors: Faiss(vectors, bits)}


def compare(vectors: np.ndarray, pairs: np.ndarray, what: str, sample: np.ndarray | None = None) -> dict[str, Any]:
    """Measures every method on the same embeddings; with a sample, only the methods in :data:`MAIN`, to save time.

    Args:
        vectors: embeddings of distinct contents that get codes, shape (n, d).
        pairs: positions of trigger and target, shape (2, m).
        what: description of the data.
        sample: embeddings to fit on; None to fit on ``vectors``.
    """
    n = len(vectors)
    fitted_on = vectors if sample is None else sample
    bits = default_bits(max(n, len(fitted_on)))
    generator = np.random.default_rng(0)
    chosen = {name: fit for name, fit in methods(max(n, len(fitted_on))).items() if sample is None or name in MAIN}
    shown = np.arange(n)
    if n > MANY:
        shown = np.sort(generator.choice(n, HIT_SAMPLE, replace=False))
        pairs = pairs[:, np.isin(pairs[0], generator.permutation(np.unique(pairs[0]))[:TRIGGERS])]
    rows = []
    for name, fit in chosen.items():
        start = time.perf_counter()
        book = fit(fitted_on)
        fitted = time.perf_counter() - start
        start = time.perf_counter()
        codes, _, built = book.assign_with_residuals(vectors)
        assigned = time.perf_counter() - start
        _, place, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
        sizes, buckets = np.unique(counts, return_counts=True)
        per_level = [np.unique(level, return_counts=True)[1] for level in codes.T]
        row = {
            "name": name,
            **collision_numbers(sizes, buckets),
            "reconstruction_error": float(reconstruction_errors(vectors, built).mean()),
            **{f"hr@{k}": rate for k, rate in _hits(vectors, built, shown).items()},
            "behaviour_hr@50": behaviour(built, place.ravel(), counts, pairs),
            "used": [len(level) for level in per_level],
            "entropy_bits": [entropy(level) for level in per_level],
            "fit_seconds": fitted,
            "assigned_per_second": n / assigned,
        }
        print(row, file=sys.stderr, flush=True)
        rows.append(row)
    return {
        "what": what, "rows": rows, "contents": n, "dimension": vectors.shape[1], "fitted_on": len(fitted_on),
        "size": 2**bits, "pairs": pairs.shape[1],
        "behaviour_of_embeddings": behaviour(vectors, np.arange(n), np.ones(n, np.int64), pairs),
    }  # fmt: skip


def _hits(vectors: np.ndarray, built: np.ndarray, shown: np.ndarray) -> dict[int, float]:
    """HR@k of codes among all contents, measured for all contents or for a sample of them."""
    if len(shown) == len(vectors):
        return hit_rates(vectors, built, (1, 10))
    _, found = faiss.knn(np.ascontiguousarray(built[shown]), vectors, 10)
    hits = found == shown[:, None]
    return {1: float(hits[:, 0].mean()), 10: float(hits.any(1).mean())}


def behaviour(built: np.ndarray, sid: np.ndarray, counts: np.ndarray, pairs: np.ndarray) -> float:
    """Share of pairs whose target is among the 50 other contents with the same or the nearest SIDs.

    Args:
        built: reconstruction of each content from its SID, shape (n, d).
        sid: number of each content's SID, shape (n,).
        counts: number of contents of each SID.
        pairs: positions of trigger and target, shape (2, m).
    """
    first = np.zeros(len(counts), np.int64)
    first[sid[::-1]] = np.arange(len(sid))[::-1]
    triggers, which = np.unique(pairs[0], return_inverse=True)
    own = sid[triggers]
    wanted = min(K + 1, len(counts))
    _, near = faiss.knn(np.ascontiguousarray(built[triggers]), np.ascontiguousarray(built[first]), wanted)
    sizes = counts[near] - (near == own[:, None])
    before = np.cumsum(sizes, 1) - sizes
    credit = np.clip((K - before) / np.maximum(sizes, 1), 0, 1)
    hit = near[which] == sid[pairs[1]][:, None]
    return float((credit[which] * hit).sum(1).mean())
