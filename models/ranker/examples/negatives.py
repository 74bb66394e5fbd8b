"""Samples the negatives of a user's positive targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.hashing import scramble
from models.ranker.examples.pool import ROUNDS, Drawing
from models.ranker.examples.pools import pools_of
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import Targets, UserEvents

NEGATIVE = 1
"""Salt of the hash that derives a negative's key from its positive's key."""
POOL = 1_000
"""Salt of the hash that chooses the pool of a negative; larger than that of any draw."""
SELDOM = 1e-9
"""Smallest number of expected draws of a target: what no pool holds is certain to be a positive."""


def drawing_weights(popularity: NDArray[np.int32], power: float) -> NDArray[np.float64]:
    """Sampling weights; an item's weight is its popularity to a power, 0 for an item without events.

    Args:
        popularity: number of positive events on each item in each window, shape (items, windows).
        power: exponent; 1 samples by popularity, 0 uniformly among the items with events.

    Returns:
        Shape (windows, items).
    """
    return np.where(popularity > 0, popularity.astype(np.float64) ** power, 0).T


def draw_negatives(
    positives: Targets,
    events: UserEvents,
    index: SearchIndex,
    *,
    per_positive: int,
    pools: Sequence[str],
    gap: int = 0,
) -> tuple[Targets, NDArray[np.int64]]:
    """Samples negatives at the time of each positive, each from one of the pools, which are equally likely.

    Popularity is that of the positive's own window. With popularity from another window, a new item would only occur as
    a positive and a discontinued item only as a negative, so an item's age alone would reveal the label.

    A draw depends only on its positive's key. A draw that its pool does not allow is repeated, at most
    :data:`models.ranker.examples.pool.ROUNDS` times in all; then the negative is left out.

    Args:
        positives: the user's positive targets.
        events: all of the user's events, oldest first.
        index: the search index of the items, with what the pools prepared.
        per_positive: number of negatives per positive.
        pools: names of pools, see :func:`models.ranker.examples.pools.pools_of`.
        gap: largest time between a positive event and a moment that counts as the same, microseconds.

    Returns:
        The negatives, and the position of the positive of each.
    """
    source = np.repeat(np.arange(len(positives.rows)), per_positive)
    copy = np.tile(np.arange(per_positive), len(positives.rows))
    keys = scramble(positives.keys[source] + copy.astype(np.uint64), salt=NEGATIVE)
    of = Drawing(positives, source, keys, events, gap, index)
    rows = np.full(len(source), -1, np.int64)
    from_pool = scramble(keys, salt=POOL) % np.uint64(len(pools))
    for number, pool in enumerate(pools_of(pools)):
        missing = np.flatnonzero(from_pool == number)
        for attempt in range(ROUNDS):
            if len(missing) == 0:
                break
            drawn = pool.draw(of, missing, attempt)
            there = np.flatnonzero(drawn >= 0)
            fresh = there[pool.allows(of, missing[there], drawn[there])]
            rows[missing[fresh]] = drawn[fresh]
            missing = np.delete(missing, fresh)
    taken = rows >= 0
    labels = np.zeros((int(taken.sum()), positives.labels.shape[1]), bool)
    return Targets(rows[taken], positives.times[source][taken], labels, keys[taken]), source[taken]


def log_expected(
    positives: Targets,
    source: NDArray[np.int64],
    rows: NDArray[np.int64],
    *,
    events: UserEvents,
    index: SearchIndex,
    per_positive: int,
    pools: Sequence[str],
) -> NDArray[np.float32]:  # fmt: skip
    """Logarithm of how often an item is expected among the negatives of a positive, at least that of :data:`SELDOM`.

    Draws that a pool does not allow are not counted again.

    Args:
        positives: the user's positive targets.
        source: position of a positive for each item, shape (n,).
        rows: item rows, those of the positives themselves and of their negatives, shape (n,).
        events: all of the user's events, oldest first.
        index: the search index of the items, with what the pools prepared.
        per_positive: number of negatives per positive.
        pools: names of pools.

    Returns:
        Shape (n,).
    """
    of = Drawing(positives, source, positives.keys[source], events, 0, index)
    shares = sum((pool.probability(of, rows) for pool in pools_of(pools)), np.zeros(len(rows)))
    return np.log(np.maximum(shares * per_positive / len(pools), SELDOM)).astype(np.float32)
