"""Numbers of a user and a candidate that fusion reads beside the sources' scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.retriever.background import Asked, Background
from models.retriever.candidates import Candidates
from models.retriever.histories import DAY

HALF_LIVES = (14.0, 60.0, 240.0)
"""Days, of the user's decayed events on an item, a content, a title and a category."""
SPANS = (7.0, 28.0, 91.0)
"""Days over which all users' events on an item are counted."""
NEVER = 1_000.0
"""Days that stand for an event that was not."""
LEVELS = ("item", "content", "title", "category")
OF_LEVEL = ("baskets", *(f"mass_{days:.0f}" for days in HALF_LIVES), "last", "interval", "due")
OF_ITEM = (*(f"events_{days:.0f}" for days in SPANS), "holders", "repeat_share", "usual_interval", "share_of_content",
           "share_of_category")  # fmt: skip
OF_USER = ("baskets_of_user", "basket_size", "days_since_basket", "basket_interval")
FACTS = (*(f"{level}_{fact}" for level in LEVELS for fact in OF_LEVEL), *OF_ITEM, *OF_USER, "own_share_of_content")
"""Names of the numbers.

Of the user and the candidate's item, content, title or category: days on which the user took it, decayed events, days
since the last one, the mean days between such days, and the days since the last one as a share of these. Of the item
among all users: events of the last days, users who took it, their share who took it on two days, the mean days between
two takings, its share of its content's and category's events. Of the user: shopping days, items a day, days since the
last one, and the mean days between them. And the item's share of the user's own decayed events on its content.
"""


@dataclass(frozen=True)
class Takings:
    """What users took, by user and group of items, which is an item, a content, a title or a category.

    Attributes:
        key: ``user * groups + group``, ascending, shape (n,).
        values: :data:`OF_LEVEL` of each, shape (n, 7).
    """

    key: NDArray[np.int64]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, asked: Asked, group: NDArray[np.int32], groups: int) -> Takings:
        """Counts users' takings.

        Args:
            asked: users and histories.
            group: group of each item of the catalogue.
            groups: number of groups.
        """
        own, age = asked.histories, asked.age
        key = own.user * np.int64(groups) + group[own.item]
        order = np.lexsort((own.time, key))
        key, age, day = key[order], age[order], (own.time[order] // int(DAY))
        first = np.ones(len(key), bool)
        first[1:] = np.diff(key) != 0
        new_day = first.copy()
        new_day[1:] |= np.diff(day) != 0
        starts = np.flatnonzero(first)
        if not len(starts):
            return cls(np.zeros(0, np.int64), np.zeros((0, len(OF_LEVEL)), np.float32))
        last = np.append(starts[1:], len(key)) - 1
        days = np.add.reduceat(new_day.astype(np.float64), starts)
        masses = [np.add.reduceat(0.5 ** (age / half), starts) for half in HALF_LIVES]
        interval = np.where(days > 1, (age[starts] - age[last]) / np.maximum(days - 1, 1), NEVER)
        due = np.where(days > 1, age[last] / np.maximum(interval, 0.5), -1.0)
        return cls(key[starts], np.stack([days, *masses, age[last], interval, due], 1).astype(np.float32))

    def at(self, key: NDArray[np.int64]) -> NDArray[np.float32]:
        """The numbers of some users and groups; for what a user never took they are 0, :data:`NEVER` or -1."""
        none = np.array([0.0] * (1 + len(HALF_LIVES)) + [NEVER, NEVER, -1.0], np.float32)
        if not len(self.key):
            return np.tile(none, (len(key), 1))
        place = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        there = self.key[place] == key
        return np.where(there[:, None], self.values[place], none)


class Facts:
    """Computes :data:`FACTS` against one background, whose own part is computed once."""

    def __init__(self, background: Background) -> None:
        self.background = background
        items = np.arange(background.items, dtype=np.int32)
        self.groups = {
            "item": items,
            "content": background.content,
            "title": background.title,
            "category": background.category,
        }
        self.sizes = {level: int(group.max(initial=-1)) + 1 for level, group in self.groups.items()}

    @property
    def of_items(self) -> NDArray[np.float32]:
        """:data:`OF_ITEM` of each item, shape (items, 8)."""
        return self._of_everyone[0]

    @property
    def repeats(self) -> float:
        """Share of the items that a reference user took which the same user took on two days, from 0 to 1."""
        return self._of_everyone[1]

    @cached_property
    def _of_everyone(self) -> tuple[NDArray[np.float32], float]:
        items, own = self.background.items, self.background.histories
        counts = [self.background.popularity(days) for days in SPANS]
        everyone = Takings.of(Asked(own, np.arange(own.users)), self.groups["item"], items)
        item = everyone.key % items
        days = everyone.values[:, 0]
        holders = np.bincount(item, minlength=items)
        repeated = np.bincount(item, weights=days > 1, minlength=items)
        gaps = np.bincount(item, weights=np.where(days > 1, everyone.values[:, 5], 0), minlength=items)
        interval = np.where(repeated > 0, gaps / np.maximum(repeated, 1), NEVER)
        # Two more users, of whom one in five comes back, keep the share of an item with few users near that of all.
        share = (repeated + 0.4) / (holders + 2)
        shares = [counts[-1] / np.maximum(self._sum(level, counts[-1]), 1) for level in ("content", "category")]
        columns = [*(np.log1p(own) for own in counts), np.log1p(holders), share, interval, *shares]
        repeats = float(repeated.sum() / max(holders.sum(), 1))
        return np.stack(columns, 1).astype(np.float32), repeats

    def _sum(self, level: str, counts: NDArray[np.float32]) -> NDArray[np.float64]:
        """The sum of the counts over each item's group, shape (items,)."""
        group = self.groups[level]
        summed: NDArray[np.float64] = np.bincount(group, weights=counts, minlength=self.sizes[level])[group]
        return summed

    def of(self, asked: Asked, candidates: Candidates) -> NDArray[np.float32]:
        """The numbers of candidates, shape (n, len(FACTS)).

        Args:
            asked: the users.
            candidates: their candidates.
        """
        parts = []
        for level, group in self.groups.items():
            takings = Takings.of(asked, group, self.sizes[level])
            parts.append(takings.at(candidates.user * np.int64(self.sizes[level]) + group[candidates.item]))
        half = len(HALF_LIVES)  # place of the longest half-life
        share = parts[0][:, half] / np.maximum(parts[1][:, half], 1e-6)
        of_users = of_users_alone(asked)[candidates.user]
        return np.concatenate([*parts, self.of_items[candidates.item], of_users, share[:, None]], 1).astype(np.float32)


def of_users_alone(asked: Asked) -> NDArray[np.float32]:
    """:data:`OF_USER` of each user, shape (users, 4)."""
    own = asked.histories
    everything = Takings.of(asked, np.zeros(int(own.item.max(initial=0)) + 1, np.int32), 1)
    found = everything.at(np.arange(own.users, dtype=np.int64))
    size = np.diff(own.offsets) / np.maximum(found[:, 0], 1)
    return np.stack([found[:, 0], size, found[:, 4], found[:, 5]], 1).astype(np.float32)
