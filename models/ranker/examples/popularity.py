"""Popularity of targets on the days before: events, takers, first and last day, by item and by semantic ID."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.features import COUNTED

Columns = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Days:
    """Days of events by key, in order.

    Attributes:
        placed: ``key * span + day`` of every event, ascending, shape (n,).
        span: more than the number of days.
    """

    placed: NDArray[np.int64]
    span: int

    @classmethod
    def of(cls, key: NDArray[np.int64], day: NDArray[np.int64], span: int) -> Days:
        """Days in order.

        Args:
            key: number of each event's key, from 0, shape (n,).
            day: day of each event, from 0 to span - 1, shape (n,).
            span: more than the number of days.
        """
        return cls(np.sort(key * span + day), span)

    def before(self, key: NDArray[np.int64], day: NDArray[np.int64], days: int | None) -> NDArray[np.int64]:
        """Number of events of a key before a day, in the last days before it or (None) ever."""
        first = key * self.span + (0 if days is None else np.maximum(day - days, 0))
        return np.searchsorted(self.placed, key * self.span + day) - np.searchsorted(self.placed, first)

    def since(self, key: NDArray[np.int64], day: NDArray[np.int64], *, last: bool) -> NDArray[np.int64]:
        """Days from the first or the last event of a key before a day to this day; 0 if there is none."""
        begins = np.searchsorted(self.placed, key * self.span)
        ends = np.searchsorted(self.placed, key * self.span + day)
        there = ends > begins
        at = np.where(there, ends - 1 if last else begins, 0)
        found = self.placed[at] % self.span if len(self.placed) else np.zeros_like(day)
        return np.where(there, day - found, 0)


def counts_before(events: Columns, asked: Columns) -> dict[str, NDArray[np.int32]]:
    """The features :data:`schemas.features.COUNTED`.

    Args:
        events: ``user``, ``item``, ``sid`` and ``day`` of positive events, any numbers, shape (n,) each: all events of
            the items and semantic IDs that are asked for.
        asked: ``item``, ``sid`` and ``day`` of targets, shape (m,) each.

    Returns:
        Each feature's values, shape (m,).
    """
    start = min((int(days.min()) for days in (events["day"], asked["day"]) if len(days)), default=0)
    taken, day = events["day"] - start, asked["day"] - start
    span = int(max(taken.max(initial=0), day.max(initial=0))) + 1
    firsts = _first_events(events["user"], events["item"], taken)
    counts: dict[str, NDArray[np.int32]] = {}
    for key in ("item", "sid"):
        _, numbers = np.unique(np.concatenate([events[key], asked[key]]), return_inverse=True)
        of_events, of_asked = numbers[: len(taken)], numbers[len(taken) :]
        every, new = Days.of(of_events, taken, span), Days.of(of_events[firsts], taken[firsts], span)
        for name, count in COUNTED.items():
            if count.key == key:
                if count.what in ("events", "takers"):
                    values = (every if count.what == "events" else new).before(of_asked, day, count.days)
                else:
                    values = every.since(of_asked, day, last=count.what == "idle")
                counts[name] = values.astype(np.int32)
    return {name: counts[name] for name in COUNTED}


def _first_events(user: NDArray[np.int64], item: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the first event of each user on each item."""
    order = np.lexsort((day, item, user))
    user, item = user[order], item[order]
    new = np.ones(len(order), bool)
    new[1:] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
    return order[new]
