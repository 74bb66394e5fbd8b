"""What the sources of retrieval know of all users: the items, and the histories of reference users."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.retriever.histories import DAY, UserHistories
from models.retriever.towers import Towers
from models.retriever.writer import Writer


@dataclass(frozen=True)
class Background:
    """The items and the histories of reference users, all before one moment.

    Reference users are a sample of all users, chosen by a hash, so that memory does not grow with the log. Numbers of
    items are places in the catalogue.

    Attributes:
        moment: seconds since 1970; every event lies before it.
        content: number of each item's content; items with the same text share it, shape (items,).
        title: number of each item's title, shape (items,).
        category: number of each item's category, shape (items,).
        histories: histories of the reference users.
        pairs: scores of mined item pairs, trigger in the rows, target in the columns, shape (items, items); None if
            there are none.
        writer: the trained retriever; None if there is none.
        towers: the two-tower model; None if there is none.
    """

    moment: int
    content: NDArray[np.int32]
    title: NDArray[np.int32]
    category: NDArray[np.int32]
    histories: UserHistories
    pairs: sparse.csr_matrix | None = None
    writer: Writer | None = None
    towers: Towers | None = None

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self.content)

    def before(self, moment: int) -> Background:
        """What was known at an earlier moment.

        Mined pairs and the retriever stay: ask for moments after the period that they were fitted on.

        Args:
            moment: seconds since 1970.
        """
        own = self.histories
        now = np.full(own.users, moment, np.int64)
        return replace(self, moment=moment, histories=own.at(np.arange(own.users), now))

    def popularity(self, days: float) -> NDArray[np.float32]:
        """Events of the reference users on each item in the last days, shape (items,)."""
        recent = self.histories.time >= self.moment - days * DAY
        return np.bincount(self.histories.item[recent], minlength=self.items).astype(np.float32)

    @cached_property
    def taken(self) -> sparse.csr_matrix:
        """Whether a reference user took an item, shape (reference users, items)."""
        matrix = sparse.csr_matrix(
            (np.ones(len(self.histories.item), np.float32), self.histories.item, self.histories.offsets),
            shape=(self.histories.users, self.items),
            copy=True,  # summing duplicates sorts the items in place
        )
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix


@dataclass(frozen=True)
class Asked:
    """The users that a source is asked for.

    Attributes:
        histories: their histories, each before a moment of the user's own.
        itself: place of each user among the reference users, -1 for a user who is none, shape (users,).
    """

    histories: UserHistories
    itself: NDArray[np.int64]

    @property
    def age(self) -> NDArray[np.float64]:
        """Days from each event to its user's moment, shape (events,)."""
        own: NDArray[np.float64] = (self.histories.now[self.histories.user] - self.histories.time) / DAY
        return own

    def summed(self, weights: NDArray[np.float64], items: int) -> sparse.csr_matrix:
        """The sum of each user's events on each item, by weight, shape (users, items)."""
        own = self.histories
        shape = (own.users, items)
        matrix = sparse.csr_matrix((weights.astype(np.float32), own.item, own.offsets), shape=shape, copy=True)
        matrix.sum_duplicates()
        return matrix

    def take(self, users: NDArray[np.int64]) -> Asked:
        """Some of the users, in the given order."""
        return Asked(self.histories.take(users), self.itself[users])
