"""Baskets: the items that a user took on one day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.retriever.histories import DAY, UserHistories


@dataclass(frozen=True)
class Baskets:
    """The baskets of many users, those of a user adjacent and oldest first.

    Attributes:
        items: whether a basket holds an item, shape (baskets, items).
        user: place of each basket's user, shape (baskets,).
        day: day of each basket, counted from 1970, shape (baskets,).
        users: number of users.
    """

    items: sparse.csr_matrix
    user: NDArray[np.int64]
    day: NDArray[np.int64]
    users: int

    @classmethod
    def of(cls, histories: UserHistories, items: int) -> Baskets:
        """The baskets of histories.

        Args:
            histories: the histories.
            items: number of items of the catalogue.
        """
        user, day = histories.user, (histories.time // int(DAY)).astype(np.int64)
        first = np.ones(len(user), bool)
        first[1:] = (np.diff(user) != 0) | (np.diff(day) != 0)
        starts = np.append(np.flatnonzero(first), len(user))
        held = sparse.csr_matrix(
            (np.ones(len(user), np.float32), histories.item, starts), shape=(len(starts) - 1, items), copy=True
        )
        held.sum_duplicates()
        held.data[:] = 1
        return cls(held, user[first], day[first], histories.users)

    @property
    def back(self) -> NDArray[np.int64]:
        """How many later baskets the user has, 0 for the user's last one, shape (baskets,)."""
        ends = np.searchsorted(self.user, np.arange(self.users), side="right")
        return ends[self.user] - 1 - np.arange(len(self.user))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of each user's baskets, shape (users,)."""
        return np.bincount(self.user, minlength=self.users)

    def summed(self, weights: NDArray[np.float64]) -> sparse.csr_matrix:
        """The sum of each user's baskets by weight, shape (users, items)."""
        shape = (self.users, len(self.user))
        places = np.arange(len(self.user))
        return sparse.csr_matrix(
            sparse.csr_matrix((weights.astype(np.float32), (self.user, places)), shape) @ self.items
        )
