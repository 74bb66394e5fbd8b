"""Candidates of a batch of users: the best items of every source, with their scores in all sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.retriever.sparse_rows import Scores, best_of_rows, values_at


@dataclass(frozen=True)
class Candidates:
    """Candidates, those of a user adjacent, each item once.

    Attributes:
        sources: names of the sources.
        user: place of each candidate's user in the batch, shape (n,).
        item: number of its item, shape (n,).
        score: its score in each source, 0 where the source does not name it, shape (n, sources).
        rank: its rank in each source, from 1; 0 where it is not among the source's best, shape (n, sources).
    """

    sources: tuple[str, ...]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    score: NDArray[np.float32]
    rank: NDArray[np.int32]

    @classmethod
    def of(cls, scores: Mapping[str, Scores], most: Mapping[str, int]) -> Candidates:
        """The union of the best items of every source.

        Args:
            scores: scores of all items by source, of the same users.
            most: number of best items by source; a source with 0 gives no candidates, but its scores are there.
        """
        names = tuple(scores)
        width = next(iter(scores.values())).shape[1]
        found = {name: best_of_rows(own, most[name])[0] for name, own in scores.items() if most[name]}
        keys = {name: (np.arange(len(items))[:, None] * np.int64(width) + items) for name, items in found.items()}
        key = np.unique(
            np.concatenate([own[found[name] >= 0] for name, own in keys.items()] or [np.zeros(0, np.int64)])
        )
        user, item = key // width, key % width
        score = np.stack([values_at(own, user, item) for own in scores.values()], 1)
        rank = np.zeros((len(key), len(names)), np.int32)
        for place, name in enumerate(names):
            if name in keys:
                row, position = np.nonzero(found[name] >= 0)
                rank[np.searchsorted(key, keys[name][row, position]), place] = position + 1
        return cls(names, user, item, score, rank)


def best_by(
    candidates: Candidates, score: NDArray[np.float64], most: int, users: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The candidates with the highest scores of each user, best first; the smaller item wins a tie.

    Args:
        candidates: the candidates.
        score: a score for each, shape (n,).
        most: number of candidates for each user.
        users: number of users.

    Returns:
        Places of the chosen candidates, those of a user adjacent, and their ranks from 1, both of shape (m,).
    """
    order = np.lexsort((candidates.item, -score, candidates.user))
    starts = np.searchsorted(candidates.user[order], np.arange(users))
    rank = np.arange(len(order)) - starts[candidates.user[order]] + 1
    chosen = rank <= most
    return order[chosen], rank[chosen]
