"""What a prefix of codes stands for beyond the sum of its centroids.

Every level's centroids are shared by all prefixes, so that a whole group of contents may lie off the sum of theirs by
one and the same vector, and the last level's few codes would be spent on saying it again for each. Here every prefix
with enough contents has a mean of its own, as a node of a tree-structured vector quantizer has, and the last level's
codes tell the contents of one prefix apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qarm.models.quantize.kmeans import blocks

PRIOR = 2
"""Contents that a prefix's mean is drawn to 0 by: a mean of few is mostly their own noise."""

MOST_PREFIXES = 65_536
"""Means kept, of the prefixes with the most contents."""


class PrefixMeans:
    """A vector for every prefix that has one; zero for the others.

    Args:
        sizes: codes of each of the p levels before the last.
        prefixes: the codes of each prefix, shape (m, p), no two the same.
        means: of what their contents lie off the sum of the centroids, shape (m, d); kept in half precision.
        contents: that each mean was taken over, shape (m,).

    Raises:
        ValueError: more possible prefixes than a 64-bit number tells apart.
    """

    def __init__(
        self, sizes: Sequence[int], prefixes: NDArray[np.int32], means: NDArray[Any], contents: NDArray[np.int32]
    ) -> None:
        self.sizes = list(sizes)
        keys = _keys(prefixes, self.sizes)
        order = np.argsort(keys)
        self._keys = keys[order]
        self.prefixes = prefixes[order]
        self.means = means[order].astype(np.float16)
        self.contents = contents[order]

    def __len__(self) -> int:
        return len(self.prefixes)

    def of(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """The vectors of codes of shape (n, p), shape (n, d)."""
        found = np.zeros((len(codes), self.means.shape[1]), np.float32)
        known, at = self._find(codes)
        found[known] = self.means[at]
        return found

    def own_shares(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """What a content that was fitted on counts in its own prefix's mean; codes of shape (n, p), shape (n,)."""
        found = np.zeros(len(codes), np.float32)
        known, at = self._find(codes)
        found[known] = 1 / (self.contents[at] + PRIOR)
        return found

    def _find(self, codes: NDArray[np.int32]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which prefixes have a mean, and at which place those do."""
        if not len(self):
            return np.zeros(len(codes), bool), np.zeros(0, np.int64)
        keys = _keys(codes, self.sizes)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self) - 1)
        known = self._keys[at] == keys
        return known, at[known]

    def renamed(self, names: Sequence[NDArray[np.int32] | None]) -> PrefixMeans:
        """The same vectors under other names of the codes; None where a level's stay."""
        columns = [
            code if own is None else own[code]
            for own, code in zip(names[: len(self.sizes)], self.prefixes.T, strict=True)
        ]
        return PrefixMeans(self.sizes, np.stack(columns, 1).astype(np.int32), self.means, self.contents)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What has to be kept of it."""
        arrays = {"prefixes": self.prefixes, "means": self.means, "contents": self.contents}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def fit_prefix_means(
    residual: NDArray[np.float32], codes: NDArray[np.int32], sizes: Sequence[int], minimum: int
) -> PrefixMeans:
    """The mean of the residual over the contents of every prefix that has enough, drawn a little to zero.

    Memory: ``d * 4`` bytes a prefix that has a mean, and a block of the residual.

    Args:
        residual: what the levels before left over, shape (n, d); a memory-mapped file serves.
        codes: of those levels, shape (n, p).
        sizes: of those levels.
        minimum: contents from which on a prefix has a mean of its own.
    """
    keys, place, counts = np.unique(_keys(codes, sizes), return_inverse=True, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:MOST_PREFIXES]
    chosen = np.sort(most[counts[most] >= minimum])
    row = np.full(len(keys), -1)
    row[chosen] = np.arange(len(chosen))
    rows = row[place]
    total = np.zeros((len(chosen), residual.shape[1]), np.float32)
    for block in blocks(len(residual)):
        own = np.flatnonzero(rows[block] >= 0)
        own = own[np.argsort(rows[block][own], kind="stable")]
        if len(own):
            to, first = np.unique(rows[block][own], return_index=True)
            total[to] += np.add.reduceat(residual[block][own], first)
    prefixes = np.stack(np.unravel_index(keys[chosen], tuple(sizes)), 1).astype(np.int32)
    return PrefixMeans(sizes, prefixes, total / (counts[chosen, None] + PRIOR), counts[chosen].astype(np.int32))


def take_away(means: PrefixMeans, residual: NDArray[np.float32], codes: NDArray[np.int32]) -> None:
    """Subtracts from every content, in place, the mean of its prefix as it would be without this content.

    A new content is no part of its prefix's mean, and what is fitted on the residual is to suit it: without one of
    ``n`` contents a mean ``m`` leaves ``(r - m) / (1 - s)`` of its ``r``, where ``s`` is its share in ``m``.

    Args:
        means: fitted on these contents.
        residual: what the levels before left over, shape (n, d).
        codes: of those levels, shape (n, p).
    """
    for rows in blocks(len(residual)):
        left = residual[rows] - means.of(codes[rows])
        residual[rows] = left / (1 - means.own_shares(codes[rows]))[:, None]


def seen_by(means: PrefixMeans, residual: NDArray[np.float32], codes: NDArray[np.int32]) -> NDArray[np.float32]:
    """The means that :func:`take_away` subtracted, of what it left; shapes (n, d), (n, p) to (n, d)."""
    taken: NDArray[np.float32] = means.of(codes) - means.own_shares(codes)[:, None] * residual
    return taken


def _keys(codes: NDArray[np.int32], sizes: Sequence[int]) -> NDArray[np.int64]:
    """One number for each row of codes."""
    if np.prod(np.array(sizes, dtype=object)) >= 2**63:
        raise ValueError(f"levels of {list(sizes)} codes have too many prefixes; use fewer or smaller levels")
    return np.asarray(np.ravel_multi_index(tuple(codes.T.astype(np.int64)), tuple(sizes)), np.int64)
