"""What fusion learns from: candidates at earlier moments, and which of them the user took next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.retriever.background import Asked, Background
from models.retriever.histories import DAY, UserHistories
from models.retriever.pool import Pool
from models.retriever.sparse_rows import values_at

NO_DAY = int(np.iinfo(np.int64).max)
"""Stands for the next day of a user who did not come again."""


@dataclass(frozen=True)
class Lessons:
    """Candidates of many users and moments.

    Attributes:
        names: names of the numbers; empty without candidates.
        numbers: shape (n, len(names)).
        taken: whether the user took the candidate on the next day with an event, shape (n,).
        size: number of items that the user took on that day, shape (n,).
        moment: when they were candidates, in seconds since 1970, shape (n,).
        user: number of the user among the reference users, shape (n,).
    """

    names: tuple[str, ...]
    numbers: NDArray[np.float32]
    taken: NDArray[np.bool_]
    size: NDArray[np.int64]
    moment: NDArray[np.int64]
    user: NDArray[np.int64]

    @cached_property
    def list(self) -> NDArray[np.int64]:
        """Number of the list that a candidate is of, one for each user and moment, from 0, shape (n,)."""
        place = np.unique(self.moment, return_inverse=True)[1]
        key = place * (int(self.user.max(initial=0)) + 1) + self.user
        numbers: NDArray[np.int64] = np.unique(key, return_inverse=True)[1]
        return numbers

    @property
    def late(self) -> NDArray[np.bool_]:
        """Whether a candidate is of the last quarter of the moments, at least of the last, shape (n,)."""
        moments = np.unique(self.moment)
        return np.isin(self.moment, moments[-max(1, len(moments) // 4) :])

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights that make the order by the fitted odds the order of expected recall.

        A user's recall rises by ``1 / size`` with each item found, so the best list is sorted by the expectation of
        ``taken / size``. With these weights of the taken candidates, the odds rise with that expectation.
        """
        mean = self.size[self.taken].mean() if self.taken.any() else 1.0
        return np.where(self.taken, mean / np.maximum(self.size, 1), 1.0)


def next_taken(histories: UserHistories, items: int, moment: int, until: int) -> sparse.csr_matrix:
    """What each user took on the first day with an event at or after a moment, shape (users, items); 1 for taken.

    Args:
        histories: histories that reach beyond the moment.
        items: number of items.
        moment: seconds since 1970, the start of a day.
        until: days that begin at or after this moment are not looked at.
    """
    user, day = histories.user, histories.time // int(DAY)
    after = (histories.time >= moment) & (histories.time < until)
    chosen = after & (day == next_days(histories, moment, until)[user])
    shape = (histories.users, items)
    matrix = sparse.csr_matrix((np.ones(int(chosen.sum()), np.float32), (user[chosen], histories.item[chosen])), shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def next_days(histories: UserHistories, moment: int, until: int) -> NDArray[np.int64]:
    """The first day of each user with an event at or after a moment, in days since 1970, shape (users,).

    Args:
        histories: histories that reach beyond the moment.
        moment: seconds since 1970, the start of a day.
        until: days that begin at or after this moment are not looked at; a user without another has :data:`NO_DAY`.
    """
    after = (histories.time >= moment) & (histories.time < until)
    first = np.full(histories.users, NO_DAY)
    np.minimum.at(first, histories.user[after], histories.time[after] // int(DAY))
    return first


def _users_by_moment(
    histories: UserHistories, moments: Sequence[int], until: int, draw: np.random.Generator
) -> list[NDArray[np.int64]]:
    """The users to learn from at each moment: a day that is the next one at several moments counts at one, drawn.

    Otherwise a user who stays away for weeks is learned by heart, and is no news at the moments that the mixture of
    the fusion is chosen on.
    """
    days = np.stack([next_days(histories, moment, until) for moment in moments])
    place, user = np.nonzero(days < NO_DAY)
    order = np.lexsort((draw.random(len(user)), days[place, user], user))
    place, user = place[order], user[order]
    day = days[place, user]
    first = np.ones(len(user), bool)
    first[1:] = (np.diff(user) != 0) | (np.diff(day) != 0)
    return [np.sort(user[first & (place == number)]) for number in range(len(moments))]


def lessons_of(
    background: Background,
    moments: Sequence[int],
    pool_of: Callable[[Background], Pool],
    *,
    negatives: int,
    seed: int,
) -> Lessons:
    """Candidates of the reference users at earlier moments.

    What a user took on one day is a lesson once. All candidates that were taken are kept, and of the others
    ``negatives`` for each user and moment, drawn evenly.
    Memory: the kept candidates, about 300 bytes each, and one pool at a time.

    Args:
        background: what is known now.
        moments: starts of days in seconds since 1970, ascending.
        pool_of: the sources over an earlier background.
        negatives: most candidates not taken, for each user and moment.
        seed: seed of the draws.
    """
    draw = np.random.default_rng(seed)
    parts: list[tuple[NDArray[Any], ...]] = []
    names: tuple[str, ...] = ()
    to_learn_from = _users_by_moment(background.histories, moments, background.moment, draw) if moments else []
    for moment, chosen in zip(moments, to_learn_from, strict=True):
        earlier = background.before(moment)
        truth = next_taken(background.histories, background.items, moment, background.moment)
        sizes = np.diff(truth.indptr)
        users = chosen[np.diff(earlier.histories.offsets)[chosen] > 0]
        pool = pool_of(earlier)
        names = pool.names
        for places, candidates, numbers in pool.batches(Asked(earlier.histories.take(users), users)):
            user = users[places][candidates.user]
            taken = values_at(truth, user, candidates.item) > 0
            kept = taken | (_place_among(candidates.user, draw.random(len(taken)), ~taken) < negatives)
            at = np.full(int(kept.sum()), moment, np.int64)
            parts.append((numbers[kept], taken[kept], sizes[user][kept], at, user[kept]))
    if not parts:
        none = np.zeros(0, np.int64)
        return Lessons((), np.zeros((0, 0), np.float32), np.zeros(0, bool), none, none, none)
    return Lessons(names, *(np.concatenate(own) for own in zip(*parts, strict=True)))


def _place_among(user: NDArray[np.int64], order: NDArray[np.float64], wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Place of each wanted candidate among those of its user in a random order; of others a place beyond all."""
    place = np.full(len(user), np.iinfo(np.int64).max)
    rows = np.flatnonzero(wanted)
    rows = rows[np.lexsort((order[rows], user[rows]))]
    starts = np.searchsorted(user[rows], user[rows])
    place[rows] = np.arange(len(rows)) - starts
    return place
