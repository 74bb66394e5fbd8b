"""Searches a user's past for the events that matter for each target."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.search import among_latest, search, search_by_key, similarities
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import ExampleParameters
from models.ranker.examples.top_k import TIERS

MOST_SIMILAR = 50
"""Number of highest similarities that are kept for each target, for any kind of search."""


class Found(NamedTuple):
    """Result of the search for every target.

    Attributes:
        positions: positions of the found events, padded with -1, shape (n, found_length).
        scores: similarity of each found event to the target by search embeddings, for any kind of search; 0 for
            padding, shape (n, found_length).
        tiers: number of visible events in each tier of similarity to the target, shape (n, TIERS).
        best: highest similarities of visible events to the target, highest first, padded with 0, shape (n,
            MOST_SIMILAR).
    """

    positions: NDArray[np.int32]
    scores: NDArray[np.float32]
    tiers: NDArray[np.int32]
    best: NDArray[np.float32]


def find(
    targets: NDArray[np.int64],
    visible: NDArray[np.int64],
    history: NDArray[np.int64],
    index: SearchIndex,
    *,
    parameters: ExampleParameters,
) -> Found:
    """Searches a user's past for all targets in one call.

    Args:
        targets: item rows of the targets, shape (n,).
        visible: number of events visible to each target, which are the oldest ones, shape (n,).
        history: item rows of the user's events, oldest first, shape (h,).
        index: attributes of all items.
        parameters: kind and length of the search.
    """
    of_target, of_event = index.search_embeddings[targets], index.search_embeddings[history]
    tiers = np.zeros((len(targets), TIERS), np.int32)
    length, by_embedding = parameters.found_length, parameters.search == "embedding"
    k = max(length, MOST_SIMILAR) if by_embedding else MOST_SIMILAR
    positions, scores = search(of_target, visible, of_event, k, similar=tiers)
    best = scores[:, :MOST_SIMILAR]
    if by_embedding:
        return Found(positions[:, :length], scores[:, :length], tiers, best)
    keys = (_keys(parameters.search, rows, index) for rows in (targets, history))
    positions = search_by_key(next(keys), visible, next(keys), length)
    return Found(positions, similarities(of_target, of_event, positions), tiers, best)


def exclusive(
    positions: NDArray[np.int32],
    targets: NDArray[np.int64],
    visible: NDArray[np.int64],
    history: NDArray[np.int64],
    *,
    index: SearchIndex,
) -> NDArray[np.int32]:
    """Number of found events that neither a search by category nor a search by item would find, shape (n,).

    Args:
        positions: ``positions`` of a :class:`Found`.
        targets: item rows of the targets, shape (n,).
        visible: number of events visible to each target, which are the oldest ones, shape (n,).
        history: item rows of the user's events, oldest first, shape (h,).
        index: attributes of all items.
    """
    alone = positions >= 0
    for by in ("category", "item"):
        of_target, of_event = (_keys(by, rows, index)[:, 0] for rows in (targets, history))
        alone &= ~among_latest(positions, of_target, visible, of_event)
    return alone.sum(1).astype(np.int32)


def _keys(by: str, rows: NDArray[np.int64], index: SearchIndex) -> NDArray[np.int64]:
    """Keys that a search compares, shape (rows, levels)."""
    if by == "category":
        return index.category[rows, None]
    if by == "sid":
        return index.codes[rows, :2].astype(np.int64)
    if by == "item":
        return rows[:, None] + 1
    return np.empty((len(rows), 0), np.int64)
