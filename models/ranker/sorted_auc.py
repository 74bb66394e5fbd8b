"""The AUC of more examples than one process holds: they are sorted by score, and each process counts a part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Part(NamedTuple):
    """What is counted of one key's examples in one part. All examples of a key with equal scores are in one part.

    Attributes:
        key: the key.
        lowest: lowest score.
        positives: number of positive examples.
        negatives: number of negative examples.
        ordered: pairs of a positive and a negative example of which the positive has the higher score; ties count half.
    """

    key: int
    lowest: float
    positives: float
    negatives: float
    ordered: float


@dataclass(frozen=True)
class Levels:
    """Counts of examples with the same key and score, in the order of key and score.

    Attributes:
        keys: shape (n,).
        scores: shape (n,).
        positives: shape (n,).
        negatives: shape (n,).
    """

    keys: NDArray[np.int64]
    scores: NDArray[np.float64]
    positives: NDArray[np.float64]
    negatives: NDArray[np.float64]

    def merged(self) -> Levels:
        """Neighbours of the same key and score as one."""
        if not len(self.keys):
            return self
        starts = _starts(self.keys[1:] != self.keys[:-1], self.scores[1:] != self.scores[:-1])
        sums = (np.add.reduceat(counts, starts) for counts in (self.positives, self.negatives))
        return Levels(self.keys[starts], self.scores[starts], *sums)


def count_part(batches: Iterable[Levels]) -> list[Part]:
    """Counts the examples of one part. Memory: some 100 bytes for each different score.

    Args:
        batches: the part's examples in the order of key and score.
    """
    found = [batch.merged() for batch in batches]
    if not found:
        return []
    names = ("keys", "scores", "positives", "negatives")
    levels = Levels(*(np.concatenate([getattr(one, name) for one in found]) for name in names)).merged()
    del found
    if not len(levels.keys):
        return []
    starts = _starts(levels.keys[1:] != levels.keys[:-1])
    sizes = np.diff(np.append(starts, len(levels.keys)))
    before = np.cumsum(levels.negatives) - levels.negatives
    ordered = levels.positives * (before - np.repeat(before[starts], sizes) + levels.negatives / 2)
    sums = (np.add.reduceat(values, starts).tolist() for values in (levels.positives, levels.negatives, ordered))
    return [*map(Part, levels.keys[starts].tolist(), levels.scores[starts].tolist(), *sums)]


def auc_of_parts(parts: Iterable[Part]) -> dict[int, float]:
    """The AUC of every key that has examples of both classes."""
    positives: dict[int, float] = {}
    negatives: dict[int, float] = {}
    ordered: dict[int, float] = {}
    for part in sorted(parts, key=lambda part: (part.key, part.lowest)):
        below = negatives.get(part.key, 0.0)
        ordered[part.key] = ordered.get(part.key, 0.0) + part.ordered + part.positives * below
        positives[part.key] = positives.get(part.key, 0.0) + part.positives
        negatives[part.key] = below + part.negatives
    pairs = {key: positives[key] * negatives[key] for key in positives}
    return {key: ordered[key] / pairs[key] for key in pairs if pairs[key]}


def _starts(*differ: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Starts of the runs of equal neighbours."""
    return np.flatnonzero(np.append(True, np.logical_or.reduce(differ)))
