"""How like a target is to all of a user's past, in a few numbers: by its text, and by who takes what."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.found import MOST_SIMILAR
from models.ranker.examples.registry import feature
from models.ranker.examples.search import search

TOPS = (1, 5, MOST_SIMILAR)
MEASURES = len(TOPS) + 1
"""The best similarity, the mean of the 5 and of the 50 best, the mean of all."""


def similarity_measures(
    targets: NDArray[np.float32], visible: NDArray[np.int64], history: NDArray[np.float32], best: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The :data:`MEASURES` of every target, 0 where it sees no event; shape (n, MEASURES).

    Args:
        targets: vectors, shape (n, d).
        visible: how many of the oldest events each target may see, shape (n,).
        history: vectors of one user's events, oldest first, shape (h, d).
        best: the highest inner products of every target with the events it sees, best first, 0 where there are no more,
            shape (n, MOST_SIMILAR).
    """
    # The mean of inner products is that with the mean; running sums are of earlier events alone, so later ones change
    # nothing.
    sums = np.zeros((len(history) + 1, history.shape[1]))
    np.cumsum(history, axis=0, dtype=np.float64, out=sums[1:])
    of_all = (targets * sums[visible]).sum(1) / np.maximum(visible, 1)
    tops = [best[:, :k].sum(1) / np.clip(visible, 1, k) for k in TOPS]
    return np.stack([*tops, of_all], axis=1).astype(np.float32)


def searched_measures(
    targets: NDArray[np.float32], visible: NDArray[np.int64], history: NDArray[np.float32]
) -> NDArray[np.float32]:
    """:func:`similarity_measures`, with the search for the best."""
    return similarity_measures(targets, visible, history, search(targets, visible, history, MOST_SIMILAR)[1])


@feature
def similarity(of: Context) -> NDArray[np.float32]:
    """The :data:`MEASURES` by the search's embeddings, then by the text embeddings."""
    targets, history, index = of.targets.rows, of.past.rows, of.index
    vectors = index.search_embeddings
    by_search = similarity_measures(vectors[targets], of.visible, vectors[history], of.found.best)
    by_text = by_search
    if len(index.text_embeddings):
        by_text = searched_measures(index.text_embeddings[targets], of.visible, index.text_embeddings[history])
    return np.concatenate([by_search, by_text], axis=1)


@feature
def behaviour(of: Context) -> NDArray[np.float32]:
    """The :data:`MEASURES` by coarse, then by fine behaviour vectors; by the newest that were fitted before the target.

    0 where no vectors are old enough.
    """
    targets, history, index = of.targets.rows, of.past.rows, of.index
    out = np.zeros((len(targets), 2 * MEASURES), np.float32)
    for number, rows in of.behaviour_fits:
        for view, vectors in enumerate((index.behaviour_coarse[number], index.behaviour_fine[number])):
            measures = searched_measures(vectors[targets[rows]], of.visible[rows], vectors[history])
            out[rows, view * MEASURES : (view + 1) * MEASURES] = measures
    return out
