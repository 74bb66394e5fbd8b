"""The events of a user's past that the search finds for every target."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.search import among_latest, search, search_by_key, similarities
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import ExampleParameters
from models.ranker.examples.top_k import TIERS

MOST_SIMILAR = 50
"""Events whose similarity is kept for each target, however events are found."""


class Found(NamedTuple):
    """What a search says of every target.

    Attributes:
        positions: of the events found, -1 where there are no more, shape (n, found_length).
        scores: similarity of the search embeddings of found event and target, however it was found, 0 for padding,
            shape (n, found_length).
        tiers: events before by the tier of their similarity to the target, shape (n, TIERS).
        best: the highest similarities to events before, best first, 0 where there are no more, shape (n,
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
    """Searches a user's past for every target, in one call.

    Args:
        targets: item rows, shape (n,).
        visible: how many of the oldest events each target may see, shape (n,).
        history: item rows of the user's events, oldest first, shape (h,).
        index: embeddings, codes and categories.
        parameters: the search and its length.
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
    """How many of the found events the searches by category and by item would not find, shape (n,).

    Args:
        positions: of :class:`Found`.
        targets: item rows, shape (n,).
        visible: how many of the oldest events each target may see, shape (n,).
        history: item rows of the user's events, oldest first, shape (h,).
        index: with the categories.
    """
    alone = positions >= 0
    for by in ("category", "item"):
        of_target, of_event = (_keys(by, rows, index)[:, 0] for rows in (targets, history))
        alone &= ~among_latest(positions, of_target, visible, of_event)
    return alone.sum(1).astype(np.int32)


def _keys(by: str, rows: NDArray[np.int64], index: SearchIndex) -> NDArray[np.int64]:
    """What events are found by, shape (rows, levels)."""
    if by == "category":
        return index.category[rows, None]
    if by == "sid":
        return index.codes[rows, :2].astype(np.int64)
    if by == "item":
        return rows[:, None] + 1
    return np.empty((len(rows), 0), np.int64)
