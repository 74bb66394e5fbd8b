"""Ranking examples of one user: its events, what is to be ranked, and sampled negatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.hashing import scramble, uniform
from schemas.feature import BUCKETS

Search = Literal["embedding", "category", "sid", "recent"]

HOUR = 3_600_000_000
UNKNOWN, FIRST = 1, 2
"""Rows of the ranker's item table: 0 is padding, 1 the unknown item, from 2 on the items."""
DOUBLING = 2 ** np.arange(1, BUCKETS - 1, dtype=np.int64) - 1
"""Where the buckets after the first begin."""

NEGATIVE = 1
"""Salt that makes a negative's key from its positive's."""
ROUNDS = 8
"""Draws a negative gets before it is given up, where the user's positives keep coming up."""


@dataclass(frozen=True, kw_only=True)
class ExampleParameters:
    """Lengths and sampling.

    Attributes:
        recent_length: events in the recent history.
        found_length: the GSU's k.
        search: how the GSU finds: by ``embedding`` (QARM V2), ``category`` (SIM's hard search), ``sid`` (the same sid_1
            and sid_2, then the same sid_1), or the most ``recent``.
        negatives: sampled negatives per positive; 0 where the log has impressions.
        attribution_gap: microseconds; a user's events on one item no further apart than this are one example.
    """

    recent_length: int
    found_length: int
    search: Search
    negatives: int
    attribution_gap: int


@dataclass(frozen=True)
class UserEvents:
    """One user's events, oldest first.

    Attributes:
        rows: item rows, shape (events,).
        times: microseconds since 1970, shape (events,).
        labels: which tasks each event is positive for, shape (events, tasks).
        impressions: whether it is an impression, shape (events,).
        keys: a hash per event of user, item and time, shape (events,).
    """

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    labels: NDArray[np.bool_]
    impressions: NDArray[np.bool_]
    keys: NDArray[np.uint64]

    @cached_property
    def positive(self) -> NDArray[np.bool_]:
        """Events that are positive for any task."""
        return self.labels.any(axis=1)


@dataclass(frozen=True)
class Targets:
    """What is to be ranked.

    Attributes:
        rows: item rows, shape (n,).
        times: microseconds since 1970, shape (n,).
        labels: shape (n, tasks).
        keys: a hash per target, shape (n,).
    """

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    labels: NDArray[np.bool_]
    keys: NDArray[np.uint64]


def targets_of(events: UserEvents, attribution_gap: int) -> Targets:
    """The user's own examples: an impression and the positives that follow it on the same item are one.

    Args:
        events: the user's events.
        attribution_gap: microseconds between two events of one example, at most.
    """
    eligible = np.flatnonzero(events.positive | events.impressions)
    order = eligible[np.lexsort((events.times[eligible], events.rows[eligible]))]
    rows, times = events.rows[order], events.times[order]
    starts = np.ones(len(order), bool)
    starts[1:] = (np.diff(rows) != 0) | (np.diff(times) > attribution_gap)
    first = np.flatnonzero(starts)
    labels = np.logical_or.reduceat(events.labels[order], first, axis=0) if len(first) else events.labels[:0]
    return Targets(rows[first], times[first], labels, events.keys[order][first])


def drawing_sums(popularity: NDArray[np.int32], power: float) -> NDArray[np.float64]:
    """Running sums that negatives are drawn by: an item's part is its popularity to a power.

    Args:
        popularity: positive events on each item in each window, shape (items, windows).
        power: 1 draws by popularity, 0 evenly among the items that were taken at all.

    Returns:
        Shape (windows, items).
    """
    weights = np.where(popularity > 0, popularity.astype(np.float64) ** power, 0)
    return np.cumsum(weights.T, axis=1)


def draw_negatives(
    positives: Targets,
    window: NDArray[np.int64],
    owned: NDArray[np.int64],
    drawing: NDArray[np.float64],
    *,
    per_positive: int,
) -> Targets:
    """Draws items the user never took, at the time of each positive, by popularity in the positive's own window.

    Drawn by another window's popularity, an item that is new in this one could only ever be a positive here, and one
    that is gone only a negative: being unknown, or long not taken, would give the answer away.

    Every draw depends on its own target's key alone. A draw that hits one of the user's positives is drawn anew, and
    given up after eight rounds.

    Args:
        positives: the user's positive targets.
        window: of each positive, shape (n,).
        owned: item rows of all of the user's positives, ascending.
        drawing: of :func:`drawing_sums`, shape (windows, items).
        per_positive: negatives wanted for each.
    """
    source = np.repeat(np.arange(len(positives.rows)), per_positive)
    copy = np.tile(np.arange(per_positive), len(positives.rows))
    keys = scramble(positives.keys[source] + copy.astype(np.uint64), salt=NEGATIVE)
    rows = np.full(len(source), -1, np.int64)
    for attempt in range(ROUNDS):
        missing = np.flatnonzero(rows < 0)
        if len(missing) == 0:
            break
        drawn = np.empty(len(missing), np.int64)
        asked = window[source[missing]]
        for number in np.unique(asked):
            here, sums = asked == number, drawing[number]
            drawn[here] = np.searchsorted(sums, uniform(keys[missing[here]], attempt) * sums[-1], side="right")
        fresh = ~np.isin(drawn, owned)
        rows[missing[fresh]] = drawn[fresh]
    taken = rows >= 0
    labels = np.zeros((int(taken.sum()), positives.labels.shape[1]), bool)
    return Targets(rows[taken], positives.times[source][taken], labels, keys[taken])
