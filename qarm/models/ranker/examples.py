"""Ranking examples of one user: targets, negatives, and a history that ends strictly before each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qarm.models.ranker.gather import buckets, gather
from qarm.models.ranker.hashing import scramble, uniform
from qarm.models.ranker.lifelong import leading_keys, times_before
from qarm.models.ranker.search import among_latest, search, search_by_key, similarities
from qarm.models.ranker.top_k import TIERS

Search = Literal["embedding", "category", "sid", "recent"]

HOUR = 3_600_000_000
BUCKETS = 16
"""Of time gaps and of positions, each twice as wide as the one before; 0 is padding."""
DOUBLING = 2 ** np.arange(1, BUCKETS - 1, dtype=np.int64) - 1
"""Where the buckets after the first begin."""

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
        category: a hash of the category, 0 where an item has none, shape (items,).
        neighbours: index of the items that stand for its content and the nearest others, 0 for none, shape (items, k).
    """

    search_embeddings: NDArray[np.float32]
    codes: NDArray[np.int32]
    item_index: NDArray[np.int32]
    popularity: NDArray[np.int64]
    category: NDArray[np.int64]
    neighbours: NDArray[np.int32]


@dataclass(frozen=True)
class ExampleParameters:
    """Lengths and sampling.

    Attributes:
        recent_length: events in the recent history.
        found_length: the GSU's k.
        search: how the GSU finds: by ``embedding`` (QARM V2), ``category`` (SIM's hard search), ``sid`` (the same sid_1
            and sid_2, then the same sid_1), or the most ``recent``.
        negatives: sampled negatives per positive; 0 where the log has impressions.
        negative_power: negatives are drawn by popularity to this power.
        attribution_gap: microseconds; a user's events on one item no further apart than this are one example.
    """

    recent_length: int
    found_length: int
    search: Search
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
        found_score: similarity of the embeddings of found event and target, however it was found, shape
            (n, found_length).
        recent_length, found_length: real events, shape (n,).
        history_length: positive events before the target, shape (n,).
        taken: times the user took the target before, shape (n,).
        taken_gap: bucket of the time since the last one, 0 where there is none, shape (n,).
        shared: events before that share the target's first, first two, and all three codes, shape (n, 3).
        shared_gap: bucket of the time since the last one that shares all, 0 where there is none, shape (n,).
        similar: events before by the similarity of their embedding to the target's, shape (n, TIERS).
        exclusive: found events that the user's latest events of the same category or the same item do not hold, shape
            (n,).
    """

    recent: dict[str, NDArray[np.int32]]
    found: dict[str, NDArray[np.int32]]
    found_score: NDArray[np.float32]
    recent_length: NDArray[np.int32]
    found_length: NDArray[np.int32]
    history_length: NDArray[np.int32]
    taken: NDArray[np.int32]
    taken_gap: NDArray[np.int32]
    shared: NDArray[np.int32]
    shared_gap: NDArray[np.int32]
    similar: NDArray[np.int32]
    exclusive: NDArray[np.int32]


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
    actions = 1 + events.labels[past] @ (1 << np.arange(events.labels.shape[1], dtype=np.int32))
    visible = np.searchsorted(times, targets.times, side="left")
    recent = visible[:, None] - 1 - np.arange(parameters.recent_length)
    recent = np.maximum(recent, -1).astype(np.int32)
    found, scores, similar = _found(targets.rows, visible, rows, catalogue, parameters)
    gaps = partial(buckets, targets.times, times, borders=HOUR * DOUBLING)
    taken, last = times_before(targets.rows, visible, rows)
    codes = [
        times_before(leading_keys(catalogue.codes[targets.rows], n), visible, leading_keys(catalogue.codes[rows], n))
        for n in range(1, 1 + catalogue.codes.shape[1])
    ]
    fields = partial(
        _fields, rows=rows, times=times, actions=actions, now=targets.times, visible=visible, catalogue=catalogue
    )
    return Histories(
        recent=fields(recent),
        found=fields(found),
        found_score=scores,
        recent_length=(recent >= 0).sum(1).astype(np.int32),
        found_length=(found >= 0).sum(1).astype(np.int32),
        history_length=visible.astype(np.int32),
        taken=taken,
        taken_gap=gaps(last[:, None])[:, 0],
        shared=np.stack([count for count, _ in codes], axis=1),
        shared_gap=gaps(codes[-1][1][:, None])[:, 0],
        similar=similar,
        exclusive=_exclusive(found, targets.rows, visible, rows, catalogue),
    )


def _found(
    targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64], catalogue: Catalogue,
    parameters: ExampleParameters,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:  # fmt: skip
    """Positions of the events that the search finds, their similarities, and all events by their similarity."""
    of_target, of_event = catalogue.search_embeddings[targets], catalogue.search_embeddings[history]
    by_embedding = parameters.search == "embedding"
    similar = np.zeros((len(targets), TIERS), np.int32)
    positions, scores = search(of_target, visible, of_event, parameters.found_length if by_embedding else 1, similar)
    if not by_embedding:
        keys = (_keys(parameters.search, rows, catalogue) for rows in (targets, history))
        positions = search_by_key(next(keys), visible, next(keys), parameters.found_length)
        scores = similarities(of_target, of_event, positions)
    return positions, scores, similar


def _keys(by: str, rows: NDArray[np.int64], catalogue: Catalogue) -> NDArray[np.int64]:
    """What events are found by, shape (rows, levels)."""
    if by == "category":
        return catalogue.category[rows, None]
    if by == "sid":
        return catalogue.codes[rows, :2].astype(np.int64)
    if by == "item":
        return rows[:, None] + 1
    return np.empty((len(rows), 0), np.int64)


def _exclusive(
    found: NDArray[np.int32], targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64],
    catalogue: Catalogue,
) -> NDArray[np.int32]:  # fmt: skip
    """How many of the found positions the searches by category and by item would not find, shape (n,)."""
    alone = found >= 0
    for by in ("category", "item"):
        of_target, of_event = (_keys(by, rows, catalogue)[:, 0] for rows in (targets, history))
        alone &= ~among_latest(found, of_target, visible, of_event)
    return alone.sum(1).astype(np.int32)


def _fields(
    positions: NDArray[np.int32],
    rows: NDArray[np.int64],
    times: NDArray[np.int64],
    actions: NDArray[np.int32],
    now: NDArray[np.int64],
    visible: NDArray[np.int64],
    catalogue: Catalogue,
) -> dict[str, NDArray[np.int32]]:
    codes = catalogue.codes[rows]
    return {
        "item": gather(catalogue.item_index[rows], positions),
        **{f"sid_{level + 1}": gather(codes[:, level], positions) for level in range(codes.shape[1])},
        "gap": buckets(now, times, positions, HOUR * DOUBLING),
        "action": gather(actions, positions),
        "position": buckets(visible - 1, np.arange(len(rows)), positions, DOUBLING),
    }
