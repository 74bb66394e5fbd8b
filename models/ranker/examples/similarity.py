"""How like a target is to all of a user's past, in a few numbers: by its text, and by who takes what."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.search import search
from models.ranker.examples.targets import Catalogue

TOPS = (1, 5, 50)
BEST_KEPT = max(TOPS)
MEASURES = len(TOPS) + 1
"""The best similarity, the mean of the 5 and of the 50 best, the mean of all."""
VIEWS = 2
"""Kinds of vectors, each of texts and of behaviour: aligned and plain, coarse and fine."""


def likeness(
    targets: NDArray[np.float32], visible: NDArray[np.int64], history: NDArray[np.float32], best: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The :data:`MEASURES` of every target, 0 where it sees no event; shape (n, MEASURES).

    Args:
        targets: vectors, shape (n, d).
        visible: how many of the oldest events each target may see, shape (n,).
        history: vectors of one user's events, oldest first, shape (h, d).
        best: the highest inner products of every target with the events it sees, best first, 0 where there are no more,
            shape (n, BEST_KEPT).
    """
    # The mean of inner products is that with the mean; running sums are of earlier events alone, so later ones change
    # nothing.
    sums = np.zeros((len(history) + 1, history.shape[1]))
    np.cumsum(history, axis=0, dtype=np.float64, out=sums[1:])
    of_all = (targets * sums[visible]).sum(1) / np.maximum(visible, 1)
    tops = [best[:, :k].sum(1) / np.clip(visible, 1, k) for k in TOPS]
    return np.stack([*tops, of_all], axis=1).astype(np.float32)


def found_likeness(
    targets: NDArray[np.float32], visible: NDArray[np.int64], history: NDArray[np.float32]
) -> NDArray[np.float32]:
    """:func:`likeness`, with the search for the best."""
    return likeness(targets, visible, history, search(targets, visible, history, BEST_KEPT)[1])


def newest_fits(times: NDArray[np.int64], catalogue: Catalogue) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Fits of behaviour vectors, each with the places of the times that it is the newest before, if any."""
    fits = np.searchsorted(catalogue.behaviour_until, times, side="right") - 1
    for number in np.unique(fits[fits >= 0]).tolist():
        yield number, np.flatnonzero(fits == number)


def behaviour(
    targets: NDArray[np.int64],
    times: NDArray[np.int64],
    visible: NDArray[np.int64],
    history: NDArray[np.int64],
    catalogue: Catalogue,
) -> NDArray[np.float32]:
    """The :data:`MEASURES` by coarse, then by fine behaviour vectors; by the newest that were fitted before the target.

    Args:
        targets: item rows, shape (n,).
        times: of the targets, microseconds since 1970, shape (n,).
        visible: how many of the oldest events each target may see, shape (n,).
        history: item rows of one user's events, oldest first, shape (h,).
        catalogue: with the behaviour vectors.

    Returns:
        0 where no vectors are old enough, shape (n, VIEWS * MEASURES).
    """
    out = np.zeros((len(targets), VIEWS * MEASURES), np.float32)
    for number, rows in newest_fits(times, catalogue):
        for view, vectors in enumerate((catalogue.behaviour_coarse[number], catalogue.behaviour_fine[number])):
            measures = found_likeness(vectors[targets[rows]], visible[rows], vectors[history])
            out[rows, view * MEASURES : (view + 1) * MEASURES] = measures
    return out
