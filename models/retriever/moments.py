"""The moments that a retriever learns from: the start of each of a user's visits, and what the visit took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.hashing import scramble, uniform
from models.retriever.histories import NONE, HistoryShape, UserHistories, behaviours_of

BLOCK_EVENTS = 2_000_000
"""Events of histories that are copied at a time."""
KEEP, DRAW = 1, 2
"""Salts of hashes: whether a moment is kept, and which of its targets."""


@dataclass(frozen=True, kw_only=True)
class MomentParameters:
    """Which moments are made, and how.

    Attributes:
        visit_gap: seconds without an event after which a new visit begins.
        targets: most codes of a visit that are predicted, drawn by hash.
        history_events: most events of a history that are read, the latest.
        user_moments: most moments of a user, the latest.
        share: share of the moments that are kept, by hash.
        begin, end: a visit that starts in between, seconds since 1970, gives a moment. No visit goes on across either.
    """

    visit_gap: int
    targets: int
    history_events: int
    user_moments: int
    share: float
    begin: int
    end: int


@dataclass(frozen=True)
class Moments:
    """Visits of one user that are moments to learn from.

    Attributes:
        first: place of the first event of each visit, shape (n,).
        codes: distinct codes of each visit, padded with -1, shape (n, targets).
    """

    first: NDArray[np.int64]
    codes: NDArray[np.int32]


def moments_of(
    key: int, time: NDArray[np.int64], code: NDArray[np.int32], parameters: MomentParameters
) -> Moments:  # fmt: skip
    """The moments of one user. A visit without an earlier event gives none, as there is no history.

    Args:
        key: hash of the user.
        time: seconds since 1970, ascending, shape (events,).
        code: code of each event's item, shape (events,).
        parameters: which moments are made.
    """
    p = parameters
    side = np.searchsorted([p.begin, p.end], time, side="right")
    starts = np.ones(len(time), bool)
    starts[1:] = (np.diff(time) > p.visit_gap) | (np.diff(side) != 0)
    first = np.flatnonzero(starts)
    visit = np.cumsum(starts) - 1
    hashed = scramble(np.uint64(key) ^ time[first].astype(np.uint64), salt=KEEP)
    kept = (side[first] == 1) & (time[first] > time[0]) & (uniform(hashed, KEEP) < p.share)
    chosen = np.flatnonzero(kept)[-p.user_moments :]
    place = np.full(len(first), NONE)
    place[chosen] = np.arange(len(chosen))
    pairs = np.unique(np.stack([place[visit], code]), axis=1)
    pairs = pairs[:, pairs[0] >= 0]
    drawn = uniform(scramble(hashed[chosen][pairs[0]] ^ pairs[1].astype(np.uint64), salt=DRAW), DRAW)
    pairs = pairs[:, np.lexsort((drawn, pairs[0]))]
    rank = np.arange(pairs.shape[1]) - np.searchsorted(pairs[0], pairs[0])
    codes = np.full((len(chosen), p.targets), NONE, np.int32)
    few = rank < p.targets
    codes[pairs[0][few], rank[few]] = pairs[1][few]
    return Moments(first[chosen], codes)


def rows_of(
    events: UserHistories, moments: Moments, shape: HistoryShape, history_events: int
) -> Iterator[dict[str, Any]]:
    """The training rows of one user, in blocks: the histories' arrays and ``target_code``.

    Args:
        events: all events of the user, whose items are codes.
        moments: the user's moments.
        shape: lengths of the arrays.
        history_events: most events of a history that are read.
    """
    # An event of the same second is no history: the earlier ones are those strictly before the visit's first second.
    now = events.time[moments.first]
    sizes = np.minimum(np.searchsorted(events.time, now), history_events)
    block = np.cumsum(sizes) // BLOCK_EVENTS
    codes = np.arange(int(events.item.max(initial=0)) + 1, dtype=np.int32)
    for number in np.unique(block):
        rows = np.flatnonzero(block == number)
        histories = events.at(np.zeros(len(rows), np.int64), now[rows], most=history_events)
        yield {**behaviours_of(histories, codes, shape), "target_code": moments.codes[rows]}
