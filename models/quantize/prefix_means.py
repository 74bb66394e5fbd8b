"""Prefix means: the mean residual of the contents that share all codes before the last level.

A level's centroids are shared by all prefixes, so the contents of one prefix may all have the same offset from the sum
of their centroids. Without prefix means, the last level would spend its codes on this common offset. Here every prefix
with enough contents stores its mean residual, like a node of a tree-structured vector quantizer, and the last level's
codes describe the differences between the contents of one prefix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.quantize.kmeans import blocks

MOST_PREFIXES = 131_072
"""Largest number of prefix means; the prefixes with the most contents are kept."""


class PrefixMeans:
    """The mean residual of each stored prefix; zero for every other prefix.

    Args:
        sizes: number of codes of each of the p levels before the last.
        prefixes: distinct prefixes of codes, shape (m, p).
        means: mean residual of each prefix, shape (m, d); stored in half precision.
        shares: weight of a single fitted content in the mean of its prefix, shape (m,).

    Raises:
        ValueError: the number of possible prefixes does not fit into 64 bits.
    """

    def __init__(
        self, sizes: Sequence[int], prefixes: NDArray[np.int32], means: NDArray[Any], shares: NDArray[Any]
    ) -> None:
        self.sizes = list(sizes)
        keys = _keys(prefixes, self.sizes)
        order = np.argsort(keys)
        self._keys = keys[order]
        self.prefixes = prefixes[order]
        self.means = means.astype(np.float16)[order]
        self.shares = shares[order].astype(np.float32)

    def __len__(self) -> int:
        return len(self.prefixes)

    def of(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """Prefix means, shape (n, d), of codes of shape (n, p)."""
        return self.with_shares(codes)[0]

    def with_shares(self, codes: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Prefix means, and the weight of a single fitted content in each.

        Args:
            codes: codes before the last level, shape (n, p).

        Returns:
            Means of shape (n, d) and weights of shape (n,).
        """
        vectors = np.zeros((len(codes), self.means.shape[1]), np.float32)
        shares = np.zeros(len(codes), np.float32)
        if len(self):
            keys = _keys(codes, self.sizes)
            at = np.minimum(np.searchsorted(self._keys, keys), len(self) - 1)
            known = self._keys[at] == keys
            vectors[known], shares[known] = self.means[at[known]], self.shares[at[known]]
        return vectors, shares

    def renamed(self, names: Sequence[NDArray[np.int32] | None]) -> PrefixMeans:
        """The same means with renumbered codes; None in ``names`` keeps a level's numbers."""
        columns = [
            code if own is None else own[code]
            for own, code in zip(names[: len(self.sizes)], self.prefixes.T, strict=True)
        ]
        return PrefixMeans(self.sizes, np.stack(columns, 1).astype(np.int32), self.means, self.shares)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What has to be kept of it."""
        arrays = {"prefixes": self.prefixes, "means": self.means, "shares": self.shares}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def fit_prefix_means(
    residual: NDArray[np.float32], codes: NDArray[np.int32], sizes: Sequence[int], minimum: int
) -> PrefixMeans:
    """Fits the mean residual of every prefix with enough contents, shrunk toward zero.

    The mean over few contents is partly noise. A prefix with n contents therefore gets ``sum / (n + k)``, where k is
    the variance within prefixes divided by the variance between them (an empirical Bayes estimate, one k for all).

    Memory: ``d * 8`` bytes per prefix with a mean, and a block of the residual.

    Args:
        residual: residuals of the levels before the last, shape (n, d); may be memory-mapped.
        codes: codes of these levels, shape (n, p).
        sizes: number of codes of these levels.
        minimum: smallest number of contents for a prefix to get a mean.
    """
    keys, place, counts = np.unique(_keys(codes, sizes), return_inverse=True, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:MOST_PREFIXES]
    chosen = np.sort(most[counts[most] >= minimum])
    row = np.full(len(keys), -1)
    row[chosen] = np.arange(len(chosen))
    rows = row[place]
    total = np.zeros((len(chosen), residual.shape[1]), np.float32)
    squares = 0.0
    for block in blocks(len(residual)):
        own = np.flatnonzero(rows[block] >= 0)
        own = own[np.argsort(rows[block][own], kind="stable")]
        if len(own):
            to, first = np.unique(rows[block][own], return_index=True)
            taken = residual[block][own]
            total[to] += np.add.reduceat(taken, first)
            squares += float(np.square(taken).sum(dtype=np.float64))
    n = counts[chosen]
    shares = 1 / (n + _shrinkage(n, total, squares))
    prefixes = np.stack(np.unravel_index(keys[chosen], tuple(sizes)), 1).astype(np.int32)
    total *= shares[:, None].astype(np.float32)
    return PrefixMeans(sizes, prefixes, total, shares)


def _shrinkage(n: NDArray[np.int64], total: NDArray[np.float32], squares: float) -> float:
    """The variance within prefixes divided by the variance between them.

    Args:
        n: number of contents of each prefix, shape (m,).
        total: sum of the residuals of each prefix, shape (m, d).
        squares: sum of the squared norms of all residuals.
    """
    freedom = int(n.sum()) - len(n)
    if not freedom:  # no prefix has two contents, so the variance within prefixes is unknown
        return 1.0
    of_sums = sum(float((np.square(total[rows]).sum(1, dtype=np.float64) / n[rows]).sum()) for rows in blocks(len(n)))
    within = (squares - of_sums) / freedom
    between = squares / int(n.sum()) - within
    return max(within, 0.0) / max(between, 1e-12)


def take_others_means(means: PrefixMeans, residual: NDArray[np.float32], codes: NDArray[np.int32]) -> None:
    """Subtracts from every residual, in place, the leave-one-out mean of its prefix.

    New contents are not part of their prefix's mean, so the next level is fitted on residuals that are left by a mean
    without the content itself: ``(r - m) / (1 - s)`` for a residual r, a mean m and the content's weight s in m.

    Args:
        means: prefix means, fitted on these contents.
        residual: residuals of the levels before the last, shape (n, d).
        codes: codes of these levels, shape (n, p).
    """
    for rows in blocks(len(residual)):
        vectors, shares = means.with_shares(codes[rows])
        residual[rows] = (residual[rows] - vectors) / (1 - shares)[:, None]


def others_means(means: PrefixMeans, left: NDArray[np.float32], codes: NDArray[np.int32]) -> NDArray[np.float32]:
    """The means that :func:`take_others_means` subtracted, shape (n, d), from its results ``left``, shape (n, d)."""
    vectors, shares = means.with_shares(codes)
    return vectors - shares[:, None] * left


def _keys(codes: NDArray[np.int32], sizes: Sequence[int]) -> NDArray[np.int64]:
    """One integer per distinct row of codes."""
    if math.prod(sizes) >= 2**63:
        raise ValueError(
            f"codebook.kmeans.sizes: levels of {list(sizes)} codes have too many prefixes; set fewer or smaller levels"
        )
    return np.asarray(np.ravel_multi_index(tuple(codes.T.astype(np.int64)), tuple(sizes)), np.int64)
