"""Names for the codes of a new codebook, so that as few items as possible change theirs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

ELSEWHERE = 1e-3
"""What a content counts whose SID has already changed in an earlier level."""

NO_OVERLAP = 1e-9

MOST_CODES = 65_536
"""Of a level whose codes are matched: the time grows with the square, and is 5 s here."""


def matched_names(
    old: NDArray[np.int32], new: NDArray[np.int32], sizes: Sequence[int]
) -> list[NDArray[np.int32] | None]:
    """Names of a new codebook's codes by the assignment problem over the centroids, level by level.

    The gain of giving centroid a the old name b is the number of contents in both; of the second level and on, those
    count whose earlier names stayed.

    Args:
        old: codes that contents had, shape (n, levels then); fewer levels or more are fine.
        new: codes that the new codebook gives them, shape (n, levels).
        sizes: codes of every new level.

    Returns:
        Of every level the name of each code, a permutation of 0 to size - 1; None where they stay as they are: a level
        that was not there before, or one of more than 65,536 codes.
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
    # Every centroid may also stay without an old name: a column of its own makes a full matching always possible.
    gains = sparse.hstack([both, sparse.identity(size, format="csr") * NO_OVERLAP], format="csr")
    centroids, chosen = min_weight_full_bipartite_matching(gains, maximize=True)
    names = np.full(size, -1, np.int32)
    named = chosen < size
    names[centroids[named]] = chosen[named]
    names[names < 0] = np.setdiff1d(np.arange(size), names)
    return names
