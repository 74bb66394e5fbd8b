"""Scores of items by lists of neighbours of the user's recent items."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from models.retriever.baskets import Baskets
from models.retriever.sparse_rows import best_of_rows

TRIGGERS = 4_096
"""Items whose lists are made at a time."""


def transitions(baskets: Baskets, *, most: int, least: int) -> sparse.csr_matrix:
    """How often each item is followed by another in the user's next basket, as a share of the item's next baskets.

    Memory: the pairs of :data:`TRIGGERS` items, and ``most`` pairs for each item.

    Args:
        baskets: baskets of the reference users.
        most: items kept for each item, those that follow most often.
        least: fewest times that an item follows another one.

    Returns:
        Shares, shape (items, items); an item in the rows, what follows it in the columns.
    """
    followed = np.flatnonzero(baskets.back > 0)
    before, after = baskets.items[followed].tocsc(), baskets.items[followed + 1]
    counts = np.maximum(np.diff(before.indptr), 1)
    items = before.shape[1]

    def blocks() -> Iterator[sparse.csr_matrix]:
        for start in range(0, items, TRIGGERS):
            end = min(start + TRIGGERS, items)
            pairs = sparse.csr_matrix(before[:, start:end].T @ after)
            pairs.data[pairs.data < least] = 0
            targets, times = best_of_rows(pairs, most)
            rows, places = np.nonzero(targets >= 0)
            share = times[rows, places] / counts[start + rows]
            yield sparse.csr_matrix((share, (rows, targets[rows, places])), shape=(end - start, items))

    return sparse.csr_matrix(sparse.vstack([*blocks()], format="csr"))
