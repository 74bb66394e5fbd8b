"""Ranking examples of one user: targets, negatives, and a history that ends strictly before each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qarm.models.ranker.hashing import scramble, uniform
from qarm.models.ranker.search import search

HOUR = 3_600_000_000
GAP_BUCKETS = 16
NEGATIVE = 1
"""Salt that makes a negative's key from its positive's."""
ROUNDS = 8
"""Draws a negative gets before it is given up, where the user's positives keep coming up."""


@dataclass(frozen=True)
class Catalogue:
    """What is known of every item; rows are items.

    Attributes:
        search_embeddings: for the GSU, shape (items, d); may be memory-mapped.
        codes: semantic IDs + 1, 0 where an item has none, shape (items, 3).
        item_index: index in the ranker's item table: 1 = unknown, from 2 on its own, shape (items,).
        popularity: positive events in the train, validation and test period, shape (items, 3).
    """

    search_embeddings: NDArray[np.float32]
    codes: NDArray[np.int32]
    item_index: NDArray[np.int32]
    popularity: NDArray[np.int64]


@dataclass(frozen=True)
class ExampleParameters:
    """Lengths and sampling.

    Attributes:
        recent_length: events in the recent history.
        found_length: the GSU's k.
        negatives: sampled negatives per positive; 0 where the log has impressions.
        negative_power: negatives are drawn by popularity to this power.
        attribution_gap: microseconds; a user's events on one item no further apart than this are one example.
    """

    recent_length: int
    found_length: int
    negatives: int
    negative_power: float
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


@dataclass(frozen=True)
class Histories:
    """The searched history of targets; 0 pads every array but the lengths.

    Attributes:
        recent: field to shape (n, recent_length).
        found: field to shape (n, found_length).
        found_score: shape (n, found_length).
        recent_length, found_length: real events, shape (n,).
        history_length: positive events before the target, shape (n,).
    """

    recent: dict[str, NDArray[np.int32]]
    found: dict[str, NDArray[np.int32]]
    found_score: NDArray[np.float32]
    recent_length: NDArray[np.int32]
    found_length: NDArray[np.int32]
    history_length: NDArray[np.int32]


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


def draw_negatives(
    positives: Targets,
    period: NDArray[np.int64],
    owned: NDArray[np.int64],
    cumulative: NDArray[np.float64],
    per_positive: int,
) -> Targets:
    """Draws items the user never took, at the time of each positive, by popularity in the positive's own period.

    Drawn by another period's popularity, an item that is new in the test period could only ever be a positive there,
    and being unknown would give the answer away.

    Every draw depends on its own target's key alone. A draw that hits one of the user's positives is drawn anew, and
    given up after eight rounds.

    Args:
        positives: the user's positive targets.
        period: 0, 1 or 2 for the period of each positive, shape (n,).
        owned: item rows of all of the user's positives, ascending.
        cumulative: running sum of the drawing weights of each period, shape (3, items).
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
        for number, weights in enumerate(cumulative):
            here = period[source[missing]] == number
            drawn[here] = np.searchsorted(weights, uniform(keys[missing[here]], attempt) * weights[-1], side="right")
        fresh = ~np.isin(drawn, owned)
        rows[missing[fresh]] = drawn[fresh]
    taken = rows >= 0
    labels = np.zeros((int(taken.sum()), positives.labels.shape[1]), bool)
    return Targets(rows[taken], positives.times[source][taken], labels, keys[taken])


def histories_of(
    events: UserEvents, targets: Targets, catalogue: Catalogue, parameters: ExampleParameters
) -> Histories:
    """Recent and found history of every target: positive events strictly before its time.

    Args:
        events: the user's events.
        targets: the user's targets, negatives included.
        catalogue: embeddings and codes.
        parameters: lengths.
    """
    past = np.flatnonzero(events.positive)
    rows, times = events.rows[past], events.times[past]
    visible = np.searchsorted(times, targets.times, side="left")
    recent = visible[:, None] - 1 - np.arange(parameters.recent_length)
    recent = np.where(recent >= 0, recent, -1)
    found, scores = search(
        catalogue.search_embeddings[targets.rows], visible, catalogue.search_embeddings[rows], parameters.found_length
    )
    return Histories(
        recent=_fields(recent, rows, times, targets.times, catalogue),
        found=_fields(found, rows, times, targets.times, catalogue),
        found_score=scores,
        recent_length=(recent >= 0).sum(1).astype(np.int32),
        found_length=(found >= 0).sum(1).astype(np.int32),
        history_length=visible.astype(np.int32),
    )


def _fields(
    positions: NDArray[Any],
    rows: NDArray[np.int64],
    times: NDArray[np.int64],
    now: NDArray[np.int64],
    catalogue: Catalogue,
) -> dict[str, NDArray[np.int32]]:
    if len(rows) == 0:
        return {name: np.zeros(positions.shape, np.int32) for name in ("item", "sid_1", "sid_2", "sid_3", "gap")}
    there = positions >= 0
    items = rows[positions]
    codes = catalogue.codes[items] * there[..., None]
    hours = (now[:, None] - times[positions]) // HOUR
    gap = 1 + np.minimum(np.log2(1 + np.maximum(hours, 0)).astype(np.int32), GAP_BUCKETS - 2)
    return {
        "item": (catalogue.item_index[items] * there).astype(np.int32),
        "sid_1": codes[..., 0].astype(np.int32),
        "sid_2": codes[..., 1].astype(np.int32),
        "sid_3": codes[..., 2].astype(np.int32),
        "gap": (gap * there).astype(np.int32),
    }
