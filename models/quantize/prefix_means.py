"""What a prefix of codes stands for beyond the sum of its centroids.

Every level's centroids are shared by all prefixes, so that a whole group of contents may lie off the sum of theirs by
one and the same vector, and the last level's few codes would be spent on saying it again for each. Here every prefix
with enough contents has a mean of its own, as a node of a tree-structured vector quantizer has, and the last level's
codes tell the contents of one prefix apart.
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
"""Means kept, of the prefixes with the most contents."""


class PrefixMeans:
    """A vector for every prefix that has one; zero for the others.

    Args:
        sizes: codes of each of the p levels before the last.
        prefixes: the codes of each prefix, shape (m, p), no two the same.
        means: of what their contents lie off the sum of the centroids, shape (m, d); kept in half precision.
        shares: what one of the contents that were fitted on counts in its prefix's mean, shape (m,).

    Raises:
        ValueError: more possible prefixes than a 64-bit number tells apart.
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
        """The vectors of codes of shape (n, p), shape (n, d)."""
        return self.with_shares(codes)[0]

    def with_shares(self, codes: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vectors, and what a content that was fitted on counts in its own.

        Args:
            codes: shape (n, p).

        Returns:
            Shapes (n, d) and (n,).
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
        """The same vectors under other names of the codes; None where a level's stay."""
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
    """The mean of the residual over the contents of every prefix that has enough, drawn to zero.

    The mean of few contents is partly their own noise. Each is drawn to zero by as many contents as make it the best
    guess of what new contents of the prefix have in common: the variance within prefixes over that between them (an
    empirical Bayes estimate, of one number for all prefixes).

    Memory: ``d * 8`` bytes a prefix that has a mean, and a block of the residual.

    Args:
        residual: what the levels before left over, shape (n, d); a memory-mapped file serves.
        codes: of those levels, shape (n, p).
        sizes: of those levels.
        minimum: contents from which on a prefix has a mean of its own; one of a single content is drawn to zero most.
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
    shares = 1 / (n + _drawn_by(n, total, squares))
    prefixes = np.stack(np.unravel_index(keys[chosen], tuple(sizes)), 1).astype(np.int32)
    total *= shares[:, None].astype(np.float32)
    return PrefixMeans(sizes, prefixes, total, shares)


def _drawn_by(n: NDArray[np.int64], total: NDArray[np.float32], squares: float) -> float:
    """The variance within prefixes over that between them.

    Args:
        n: contents of each prefix, shape (m,).
        total: their sums, shape (m, d).
        squares: sum of the squared norms of all.
    """
    freedom = int(n.sum()) - len(n)
    if not freedom:  # no prefix holds two: nothing says how far their contents lie apart
        return 1.0
    of_sums = sum(float((np.square(total[rows]).sum(1, dtype=np.float64) / n[rows]).sum()) for rows in blocks(len(n)))
    within = (squares - of_sums) / freedom
    between = squares / int(n.sum()) - within
    return max(within, 0.0) / max(between, 1e-12)


def take_others_means(means: PrefixMeans, residual: NDArray[np.float32], codes: NDArray[np.int32]) -> None:
    """Subtracts from every content, in place, the mean of its prefix as it would be without this content.

    A new content is no part of its prefix's mean, and what is fitted on the residual is to suit it: without one of
    ``n`` contents a mean ``m`` leaves ``(r - m) / (1 - s)`` of its ``r``, where ``s`` is its share in ``m``.

    Args:
        means: fitted on these contents.
        residual: what the levels before left over, shape (n, d).
        codes: of those levels, shape (n, p).
    """
    for rows in blocks(len(residual)):
        vectors, shares = means.with_shares(codes[rows])
        residual[rows] = (residual[rows] - vectors) / (1 - shares)[:, None]


def others_means(means: PrefixMeans, left: NDArray[np.float32], codes: NDArray[np.int32]) -> NDArray[np.float32]:
    """What :func:`take_others_means` subtracted, by what it left; shapes (n, d) and (n, p) to (n, d)."""
    vectors, shares = means.with_shares(codes)
    return vectors - shares[:, None] * left


def _keys(codes: NDArray[np.int32], sizes: Sequence[int]) -> NDArray[np.int64]:
    """One number for each row of codes."""
    if math.prod(sizes) >= 2**63:
        raise ValueError(f"levels of {list(sizes)} codes have too many prefixes; use fewer or smaller levels")
    return np.asarray(np.ravel_multi_index(tuple(codes.T.astype(np.int64)), tuple(sizes)), np.int64)
