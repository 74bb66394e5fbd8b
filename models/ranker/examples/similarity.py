"""Features that measure the similarity of a target to a user's whole past, by embeddings and behaviour vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.found import MOST_SIMILAR
from models.ranker.examples.registry import feature
from models.ranker.examples.search import search

TOPS = (1, 5, MOST_SIMILAR)
MEASURES = len(TOPS) + 1
"""Number of measures: the highest similarity, the means of the 5 and of the 50 highest, the mean of all."""


def similarity_measures(
    targets: NDArray[np.float32], visible: NDArray[np.int64], history: NDArray[np.float32], best: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The :data:`MEASURES` of every target, 0 for a target without visible events; shape (n, MEASURES).

    Args:
        targets: vectors of the targets, shape (n, d).
        visible: number of events visible to each target, which are the oldest ones, shape (n,).
        history: vectors of one user's events, oldest first, shape (h, d).
        best: highest inner products of every target with its visible events, highest first, padded with 0, shape (n,
            MOST_SIMILAR).
    """
    # The mean inner product is the inner product with the mean. Cumulative sums make it depend on visible events only.
    sums = np.zeros((len(history) + 1, history.shape[1]))
    np.cumsum(history, axis=0, dtype=np.float64, out=sums[1:])
    of_all = (targets * sums[visible]).sum(1) / np.maximum(visible, 1)
    tops = [best[:, :k].sum(1) / np.clip(visible, 1, k) for k in TOPS]
    return np.stack([*tops, of_all], axis=1).astype(np.float32)


def searched_measures(
    targets: NDArray[np.float32], visible: NDArray[np.int64], history: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Searches for the highest similarities and computes :func:`similarity_measures`."""
    return similarity_measures(targets, visible, history, search(targets, visible, history, MOST_SIMILAR)[1])


@feature
def similarity(of: Context) -> NDArray[np.float32]:
    """The :data:`MEASURES` by search embeddings, then by text embeddings."""
    targets, history, index = of.targets.rows, of.past.rows, of.index
    vectors = index.search_embeddings
    by_search = similarity_measures(vectors[targets], of.visible, vectors[history], of.found.best)
    by_text = by_search
    if len(index.text_embeddings):
        by_text = searched_measures(index.text_embeddings[targets], of.visible, index.text_embeddings[history])
    return np.concatenate([by_search, by_text], axis=1)


@feature
def behaviour(of: Context) -> NDArray[np.float32]:
    """The :data:`MEASURES` by coarse, then by fine behaviour vectors, from the newest fit before the target.

    All are 0 if there is no such fit.
    """
    targets, history, index = of.targets.rows, of.past.rows, of.index
    out = np.zeros((len(targets), 2 * MEASURES), np.float32)
    for number, rows in of.behaviour_fits:
        for view, vectors in enumerate((index.behaviour_coarse[number], index.behaviour_fine[number])):
            measures = searched_measures(vectors[targets[rows]], of.visible[rows], vectors[history])
            out[rows, view * MEASURES : (view + 1) * MEASURES] = measures
    return out
