"""Histories of many users as flat arrays, and the arrays of fixed length that the retriever reads of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DAY = 86_400.0
"""Seconds."""
NONE = -1
"""Padding of numbers of codes and items."""


@dataclass(frozen=True)
class UserHistories:
    """The events of a batch of users, each user's before a moment of their own; oldest first.

    Attributes:
        offsets: start of each user's events, and at the end the number of all events, shape (users + 1,).
        item: number of each event's item in the catalogue, shape (events,).
        time: seconds since 1970, ascending for each user, shape (events,).
        action: number of each event's action, shape (events,).
        count: how often the user took the item up to this event, the event included, shape (events,).
        now: moment of each user in seconds since 1970; all of the user's events lie before it, shape (users,).
    """

    offsets: NDArray[np.int64]
    item: NDArray[np.int32]
    time: NDArray[np.int64]
    action: NDArray[np.int8]
    count: NDArray[np.int32]
    now: NDArray[np.int64]

    @property
    def users(self) -> int:
        """Number of users."""
        return len(self.now)

    @property
    def user(self) -> NDArray[np.int64]:
        """Place of each event's user in the batch, shape (events,)."""
        return np.repeat(np.arange(self.users), np.diff(self.offsets))

    @classmethod
    def of(
        cls,
        user: NDArray[np.int64],
        item: NDArray[np.int32],
        time: NDArray[np.int64],
        action: NDArray[np.int8] | None = None,
        *,
        now: NDArray[np.int64],
    ) -> UserHistories:
        """Histories from events in any order; events at or after their user's moment are left out.

        Args:
            user: place of each event's user in the batch, 0 to users - 1, shape (events,).
            item: number of each event's item in the catalogue, shape (events,).
            time: seconds since 1970, shape (events,).
            action: number of each event's action, shape (events,); None for one action, number 0.
            now: moment of each user, shape (users,).
        """
        action = np.zeros(len(user), np.int8) if action is None else action
        before = np.flatnonzero(time < now[user])
        # Ties in time are broken by the item, so that the order of the input does not matter.
        order = before[np.lexsort((action[before], item[before], time[before], user[before]))]
        user, item = user[order], item[order]
        offsets = np.searchsorted(user, np.arange(len(now) + 1)).astype(np.int64)
        return cls(offsets, item.astype(np.int32), time[order], action[order], _counts(user, item), now)

    def take(self, users: NDArray[np.int64]) -> UserHistories:
        """The histories of some users, in the given order.

        Args:
            users: places of the users in this batch, shape (n,).
        """
        return self.at(users, self.now[users])

    def at(self, users: NDArray[np.int64], now: NDArray[np.int64], most: int | None = None) -> UserHistories:
        """The histories of some users at other moments, in the given order.

        Args:
            users: places of the users in this batch, which may come several times, shape (n,).
            now: a moment for each, not after the user's own, shape (n,).
            most: most events of a history, the latest; None for all.
        """
        stop = self._before(users, now)
        start = self.offsets[users] if most is None else np.maximum(self.offsets[users], stop - most)
        offsets = np.concatenate([[0], np.cumsum(stop - start)]).astype(np.int64)
        places = np.repeat(start - offsets[:-1], stop - start) + np.arange(offsets[-1])
        item, time, action, count = self.item[places], self.time[places], self.action[places], self.count[places]
        return UserHistories(offsets, item, time, action, count, now)

    def _before(self, users: NDArray[np.int64], now: NDArray[np.int64]) -> NDArray[np.int64]:
        """The end of the events of each user that lie before a moment, shape (n,)."""
        if not len(self.time):
            return self.offsets[users]
        first = int(self.time.min())
        span = int(max(self.time.max(), now.max(initial=0))) - first + 2
        keys = self.user * span + (self.time - first)
        return np.searchsorted(keys, users * span + np.clip(now - first, 0, span - 1)).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class HistoryShape:
    """How much of a history the retriever reads.

    Attributes:
        recent_length: last events of the behaviour ``recent``.
        older_length: events before these, of the behaviour ``older``.
        taken_length: distinct codes of the behaviour ``taken``: those with the highest sums of decayed events.
        half_lives: days after which an event counts half in the sums of the behaviour ``taken``.
    """

    recent_length: int
    older_length: int
    taken_length: int
    half_lives: Sequence[float]

    @property
    def lengths(self) -> dict[str, int]:
        """Length of each behaviour."""
        return {"recent": self.recent_length, "older": self.older_length, "taken": self.taken_length}


def behaviours_of(histories: UserHistories, item_code: NDArray[np.int32], shape: HistoryShape) -> dict[str, Any]:
    """The arrays of fixed length that the retriever reads, one row a user.

    Each behaviour has ``<behaviour>_code`` (padded with -1), ``_age`` (days before the user's moment), ``_count`` and
    ``_action``, each of shape (users, length). Of ``recent`` and ``older`` the latest event comes first. ``taken`` has
    each code once, with the age and action of the last event on it, the number of events as its count, and
    ``taken_mass_<i>``, the sum of its events where each counts ``0.5 ** (age / half_lives[i])``; the highest sum of the
    last half-life comes first.

    Args:
        histories: the histories.
        item_code: code of each item of the catalogue, shape (items,).
        shape: lengths and half-lives.
    """
    ends = histories.offsets[1:]
    sizes = np.diff(histories.offsets)
    columns: dict[str, Any] = {}
    skipped = 0
    age = ((histories.now[histories.user] - histories.time) / DAY).astype(np.float32)
    for name, length in (("recent", shape.recent_length), ("older", shape.older_length)):
        back = skipped + np.arange(length)
        valid = back < sizes[:, None]
        places = np.where(valid, ends[:, None] - 1 - back, 0)
        columns |= _fields(name, histories, item_code, {"age": age, "places": places, "valid": valid})
        skipped += length
    return columns | _taken(histories, age, item_code, shape)


def _fields(
    name: str, histories: UserHistories, item_code: NDArray[np.int32], chosen: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Fields of the events at some places, each of shape (users, length)."""
    places, valid = chosen["places"], chosen["valid"]
    if not len(histories.item):
        empty = np.zeros(valid.shape, np.int32)
        fields = {"code": empty + np.int32(NONE), "age": empty.astype(np.float32), "count": empty, "action": empty}
    else:
        code = np.where(valid, item_code[histories.item[places]], np.int32(NONE))
        fields = {"code": code, "age": chosen["age"][places] * valid, "count": histories.count[places] * valid}
        fields |= {"action": (histories.action[places] * valid).astype(np.int32)}
    return {f"{name}_{field}": values for field, values in fields.items()}


def _taken(
    histories: UserHistories, age: NDArray[np.float32], item_code: NDArray[np.int32], shape: HistoryShape
) -> dict[str, NDArray[Any]]:
    """The behaviour ``taken``, see :func:`behaviours_of`."""
    user, length = histories.user, shape.taken_length
    key = user * (int(item_code.max(initial=0)) + 2) + item_code[histories.item]
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    size = np.diff(starts, append=len(key))
    last = order[starts + size - 1]  # oldest first within a code, as the sort is stable
    masses = [
        np.add.reduceat(0.5 ** (age[order].astype(np.float64) / days), starts) if len(key) else np.zeros(0)
        for days in shape.half_lives
    ]
    owner = user[last]
    best = np.lexsort((last, -masses[-1], owner))
    first = np.searchsorted(owner[best], np.arange(histories.users + 1))
    valid = np.arange(length) < np.diff(first)[:, None]
    rows = np.zeros(valid.shape, np.int64)
    rows[valid] = best[(first[:-1, None] + np.arange(length))[valid]]
    places = last[rows] if len(last) else np.zeros(valid.shape, np.int64)
    columns = _fields("taken", histories, item_code, {"age": age, "places": places, "valid": valid})

    def filled(values: NDArray[Any], kind: type) -> NDArray[Any]:
        return (values[rows] * valid if len(values) else np.zeros(valid.shape)).astype(kind)

    columns["taken_count"] = filled(size, np.int32)
    return columns | {f"taken_mass_{i}": filled(mass, np.float32) for i, mass in enumerate(masses)}


def _counts(user: NDArray[np.int64], item: NDArray[np.int32]) -> NDArray[np.int32]:
    """For each event, oldest first, how often its user took its item so far, the event included."""
    order = np.lexsort((item, user))  # stable: the events of a user and an item stay in their order
    starts = np.ones(len(order), bool)
    starts[1:] = (np.diff(user[order]) != 0) | (np.diff(item[order]) != 0)
    first = np.flatnonzero(starts)
    counts = np.empty(len(order), np.int32)
    counts[order] = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order))) + 1
    return counts
