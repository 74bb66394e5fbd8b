"""A linear score of candidates: a conditional logit of which ones of a list were taken (McFadden, 1974)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.retriever.lists import Lists

RANK = "rank_"
"""What the names of ranks begin with; a rank says nothing beside the score that it follows from."""
SOURCE = ("score_", "events_")
"""What the names of numbers begin with that say of an item whether it will be taken, as scores of sources do."""
FACTS_L2 = 300.0
"""How much more the weights of other numbers are drawn to 0 than those of :data:`SOURCE`."""
ITERATIONS = 200


@dataclass(frozen=True)
class Linear:
    """Weights of numbers and of their logarithms, both in standard deviations of the candidate's list.

    A list's mean and deviation are of the candidates themselves, so only differences within a list count, and sources
    with large and with small scores are alike. Those of lessons are of a sample of the candidates not taken.

    Attributes:
        weights: weights of each number and of its logarithm, shape (numbers, 2); 0 for ranks.
    """

    weights: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        names: Sequence[str],
        numbers: NDArray[np.float32],
        taken: NDArray[np.bool_],
        lists: Lists,
        *,
        l2: float,
    ) -> Linear:
        """Fits the weights; each list with a taken candidate counts the same.

        Memory: 16 bytes for each number of each candidate.

        Args:
            names: names of the numbers.
            numbers: numbers of candidates, NaN for none, shape (n, len(names)).
            taken: whether the user took the candidate next, shape (n,).
            lists: the candidates' lists.
            l2: weight of the squared weights, in lists.
        """
        read = [place for place, name in enumerate(names) if not name.startswith(RANK)]
        of_source = np.array([names[place].startswith(SOURCE) for place in read], bool)
        scale = np.repeat(np.where(of_source, 1.0, FACTS_L2**-0.5), 2)
        columns = np.empty((len(numbers), 2 * len(read)))
        for place, number in enumerate(read):
            columns[:, 2 * place : 2 * place + 2] = _columns(numbers[:, number], lists)
        columns *= scale
        hits = lists.sums(taken.astype(np.float64))
        tells = np.minimum(hits, 1.0)
        wanted = taken / np.maximum(lists.spread(hits), 1.0)

        def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            scores = columns @ weights
            found, denominator = lists.shares(scores)
            value = tells @ denominator - wanted @ scores + l2 / 2 * weights @ weights
            return float(value), columns.T @ (found * lists.spread(tells) - wanted) + l2 * weights

        found = minimize(loss, np.zeros(columns.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
        weights = np.zeros((len(names), 2))
        weights[read] = (found.x * scale).reshape(-1, 2)
        return cls(weights)

    def scores(self, numbers: NDArray[np.float32], lists: Lists) -> NDArray[np.float64]:
        """Log-odds of candidates within their lists, shape (n,).

        Args:
            numbers: shape (n, numbers).
            lists: the candidates' lists, whole ones.
        """
        found = np.zeros(len(numbers))
        for number in np.flatnonzero(self.weights.any(1)):  # one at a time: all columns at once are kilobytes a row
            found += _columns(numbers[:, number], lists) @ self.weights[number]
        return found


def _columns(number: NDArray[np.float32], lists: Lists) -> NDArray[np.float64]:
    """A number and its logarithm in standard deviations of the list, shape (n, 2)."""
    plain = np.nan_to_num(number.astype(np.float64))
    return lists.standardised(np.stack([plain, np.sign(plain) * np.log1p(np.abs(plain))], axis=1))
