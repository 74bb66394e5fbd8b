"""Renumbers the codes of a new codebook so that as few items as possible change their codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

ELSEWHERE = 1e-3
"""Weight of a content whose SID already changed in an earlier level; other contents weigh 1."""

NO_OVERLAP = 1e-9

MOST_CODES = 65_536
"""Largest level whose codes are matched: the time grows quadratically, and matching so many codes takes 5 s."""


def matched_names(
    old: NDArray[np.int32], new: NDArray[np.int32], sizes: Sequence[int]
) -> list[NDArray[np.int32] | None]:
    """Matches a new codebook's codes with the old ones, level by level, as an assignment problem.

    The gain of giving new code a the old number b is the number of contents that have both; from the second level on,
    contents whose earlier codes changed have almost no weight.

    Args:
        old: old codes of the contents, shape (n, old levels); the number of levels may differ.
        new: new codes of the same contents, shape (n, levels).
        sizes: number of codes of every new level.

    Returns:
        For every level the number of each new code, a permutation of 0 to size - 1; None for a level that is not
        renumbered, because it did not exist before or has more than 65,536 codes.
    """
    stays = np.ones(len(new), bool)
    names: list[NDArray[np.int32] | None] = []
    for level, size in enumerate(sizes):
        if level >= old.shape[1] or size > MOST_CODES:
            names.append(None)
            continue
        own = _match(old[:, level], new[:, level], np.where(stays, 1.0, ELSEWHERE), size)
        stays &= own[new[:, level]] == old[:, level]
        names.append(own)
    return names


def _match(
    old: NDArray[np.int32], new: NDArray[np.int32], weights: NDArray[np.float64], size: int
) -> NDArray[np.int32]:
    known = (old >= 0) & (old < size)
    both = sparse.coo_matrix((weights[known], (new[known], old[known])), shape=(size, size)).tocsr()
    # An extra column per new code means "no old number", so that a full matching always exists.
    gains = sparse.hstack([both, sparse.identity(size, format="csr") * NO_OVERLAP], format="csr")
    centroids, chosen = min_weight_full_bipartite_matching(gains, maximize=True)
    names = np.full(size, -1, np.int32)
    named = chosen < size
    names[centroids[named]] = chosen[named]
    names[names < 0] = np.setdiff1d(np.arange(size), names)
    return names
