"""Targets of one user's ranking examples, from the user's events and by negative sampling."""

from __future__ import annotations

from collections.abc import Sequence
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
"""Rows of the ranker's item table: row 0 is padding, row 1 the unknown item, items start at row 2."""
DOUBLING = 2 ** np.arange(1, BUCKETS - 1, dtype=np.int64) - 1
"""Starts of the second and later buckets of a number; each start is about twice the previous one."""

NEGATIVE = 1
"""Salt of the hash that derives a negative's key from its positive's key."""
ROUNDS = 8
"""Largest number of draws per negative; a draw is rejected if it is one of the user's positive items."""


@dataclass(frozen=True, kw_only=True)
class ExampleParameters:
    """Lengths of histories, kind of search, and sampling of negatives.

    Attributes:
        recent_length: number of events in the recent history.
        found_length: number of events that the GSU finds.
        search: kind of search of the GSU: ``embedding`` (QARM V2), ``category`` (SIM's hard search), ``sid`` (events
            with the same sid_1 and sid_2, then with the same sid_1), or ``recent`` (the latest events).
        negatives: number of sampled negatives per positive; 0 if the log has impressions.
        attribution_gap: largest time between two events of one example, microseconds.
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
        labels: whether each event is positive for each task, shape (events, tasks).
        impressions: whether each event is an impression, shape (events,).
        keys: hash of each event's user, item and time, shape (events,).
        new: whether each event came since the last night, shape (events,); None if all of them did.
    """

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    labels: NDArray[np.bool_]
    impressions: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    new: NDArray[np.bool_] | None = None

    @cached_property
    def positive(self) -> NDArray[np.bool_]:
        """Whether each event is positive for any task, shape (events,)."""
        return self.labels.any(axis=1)


@dataclass(frozen=True)
class Targets:
    """The targets of one user's examples.

    Attributes:
        rows: item rows, shape (n,).
        times: microseconds since 1970, shape (n,).
        labels: whether each target is positive for each task, shape (n, tasks).
        keys: hash of each target, shape (n,).
    """

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    labels: NDArray[np.bool_]
    keys: NDArray[np.uint64]


def joined_targets(parts: Sequence[Targets]) -> Targets:
    """The targets of all parts, one after the other."""
    return Targets(*(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))


def targets_of(events: UserEvents, attribution_gap: int) -> Targets:
    """Targets from the user's events: an impression and the positives that follow it on the same item are one target.

    If some events are new, these are the targets with a new event.

    Args:
        events: the user's events.
        attribution_gap: largest time between two successive events of one target, microseconds.
    """
    eligible = np.flatnonzero(events.positive | events.impressions)
    order = eligible[np.lexsort((events.times[eligible], events.rows[eligible]))]
    rows, times = events.rows[order], events.times[order]
    starts = np.ones(len(order), bool)
    starts[1:] = (np.diff(rows) != 0) | (np.diff(times) > attribution_gap)
    first = np.flatnonzero(starts)
    labels = np.logical_or.reduceat(events.labels[order], first, axis=0) if len(first) else events.labels[:0]
    made = Targets(rows[first], times[first], labels, events.keys[order][first])
    if events.new is None or not len(first):
        return made
    touched = np.logical_or.reduceat(events.new[order], first)
    return Targets(*(values[touched] for values in vars(made).values()))


def drawing_sums(popularity: NDArray[np.int32], power: float) -> NDArray[np.float64]:
    """Cumulative sums of sampling weights; an item's sampling weight is its popularity to a power.

    Args:
        popularity: number of positive events on each item in each window, shape (items, windows).
        power: exponent; 1 samples by popularity, 0 uniformly among the items with events.

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
    """Samples negatives: items that the user never took, at the time of each positive, by popularity in its window.

    Popularity is that of the positive's own window. With popularity from another window, a new item would only occur as
    a positive and a discontinued item only as a negative, so an item's age alone would reveal the label.

    A draw depends only on its positive's key. A draw that is one of the user's positive items is repeated, at most
    :data:`ROUNDS` times in all; then the negative is left out.

    Args:
        positives: the user's positive targets.
        window: window of each positive, shape (n,).
        owned: item rows of all of the user's positives, ascending.
        drawing: result of :func:`drawing_sums`, shape (windows, items).
        per_positive: number of negatives per positive.
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
