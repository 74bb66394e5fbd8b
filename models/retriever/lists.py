"""Candidates that belong together, those of one user at one moment, as blocks of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lists:
    """Where the candidates of each list are.

    Attributes:
        order: rows in the order of their lists, shape (n,).
        start: place of each list's first row in ``order``, and at the end the number of rows, shape (lists + 1,).
    """

    order: NDArray[np.int64]
    start: NDArray[np.int64]

    @classmethod
    def of(cls, number: NDArray[np.int64]) -> Lists:
        """The lists of rows that have the same number, shape (n,)."""
        order = np.argsort(number, kind="stable")
        changes = np.flatnonzero(np.diff(number[order])) + 1
        ends = [len(order)] if len(order) else []
        return cls(order, np.concatenate([[0], changes, ends]).astype(np.int64))

    @classmethod
    def some(cls, number: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        """The rows of at most so many lists, which lie evenly among all; ascending."""
        numbers = np.unique(number)
        chosen = numbers[np.linspace(0, len(numbers) - 1, min(most, len(numbers))).astype(np.int64)]
        return np.flatnonzero(np.isin(number, chosen))

    @classmethod
    def telling(cls, number: NDArray[np.int64], taken: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether a row is of a list that holds both taken and other candidates, shape (n,)."""
        lists = cls.of(number)
        if not len(number):
            return np.zeros(0, bool)
        hits = lists.sums(taken.astype(np.float64))
        return lists.spread(np.where((hits > 0) & (hits < lists.sizes), 1.0, 0.0)) > 0

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of rows of each list, shape (lists,)."""
        return np.diff(self.start)

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of each list's rows, shape (lists, ...)."""
        found: NDArray[np.float64] = np.add.reduceat(values[self.order], self.start[:-1])
        return found

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """One value a list as one value a row, shape (n, ...)."""
        out = np.empty((len(self.order), *values.shape[1:]))
        out[self.order] = np.repeat(values, self.sizes, axis=0)
        return out

    def standardised(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values less the mean of their list, in standard deviations of the list; 0 where a list has one value.

        Args:
            values: shape (n, columns).
        """
        if not len(values):
            return values
        mean = self.sums(values) / self.sizes[:, None]
        centred = values - self.spread(mean)
        deviation = np.sqrt(self.sums(centred**2) / self.sizes[:, None])
        floor = 1e-6 * np.maximum(np.abs(mean), 1e-3)  # what rounding leaves of equal values is no difference
        scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > floor)
        return centred * self.spread(scale)

    def shares(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The softmax of the scores in each list, shape (n,), and the logarithm of its denominator, shape (lists,)."""
        highest = np.maximum.reduceat(scores[self.order], self.start[:-1])
        powers = np.exp(scores - self.spread(highest))
        total = self.sums(powers)
        return powers / self.spread(total), np.log(total) + highest


def list_losses(scores: NDArray[np.float64], taken: NDArray[np.bool_], lists: Lists) -> NDArray[np.float64]:
    """How badly scores order each list: the mean of ``-log softmax`` over its taken candidates.

    Unlike the log loss of single candidates, this asks nothing of how many a user takes, which orders no list.

    Args:
        scores: score of each candidate, shape (n,).
        taken: whether it was taken, shape (n,).
        lists: the candidates' lists.

    Returns:
        One loss for each list with a taken and another candidate, shape (such lists,).
    """
    if not len(scores):
        return np.zeros(0)
    hits = lists.sums(taken.astype(np.float64))
    of_taken = lists.sums(np.where(taken, scores, 0.0))
    _, denominator = lists.shares(scores)
    tells = (hits > 0) & (hits < lists.sizes)
    losses: NDArray[np.float64] = denominator[tells] - of_taken[tells] / hits[tells]
    return losses
