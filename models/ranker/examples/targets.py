"""Targets of one user's ranking examples, from the user's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.feature import BUCKETS

Search = Literal["embedding", "category", "sid", "recent"]

HOUR = 3_600_000_000
UNKNOWN, FIRST = 1, 2
"""Rows of the ranker's item table: row 0 is padding, row 1 the unknown item, items start at row 2."""
DOUBLING = 2 ** np.arange(1, BUCKETS - 1, dtype=np.int64) - 1
"""Starts of the second and later buckets of a number; each start is about twice the previous one."""


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
        negatives_from: names of the pools that negatives are drawn from, which take turns; see
            :data:`models.ranker.examples.pools.POOLS`.
    """

    recent_length: int
    found_length: int
    search: Search
    negatives: int
    attribution_gap: int
    negatives_from: Sequence[str] = ("never_taken",)


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
