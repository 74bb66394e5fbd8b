"""How good ranked lists of the whole catalogue are: recall, NDCG and hit rate, by slices, with paired intervals.

What a user took next is compared with a list of items or of contents that is ranked over the whole catalogue, without
sampled negatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.retriever.sparse_rows import values_at

AT = (10, 50, 100)
"""Lengths of the lists that are measured."""
DRAWS, SHARE = 1000, 0.95


@dataclass(frozen=True)
class Measured:
    """Measures of one list for each user.

    Attributes:
        values: ``recall@10``, ``ndcg@10``, ``hit@10`` and so on, each of shape (users,).
    """

    values: Mapping[str, NDArray[np.float64]]

    @property
    def means(self) -> dict[str, float]:
        """The mean of each measure over the users; NaN without users."""
        return {name: float(own.mean()) if len(own) else float("nan") for name, own in self.values.items()}


def measured(ranked: NDArray[np.int32], truth: sparse.csr_matrix, at: Sequence[int] = AT) -> Measured:
    """Measures lists against what the users took.

    ``recall@k`` is the share of a user's taken things among the first k of the list; ``ndcg@k`` is the sum of
    ``1 / log2(1 + rank)`` over the hits, as a share of that of the best list; ``hit@k`` is the highest value of a hit.
    Users who took nothing are left out.

    Args:
        ranked: things, best first, padded with -1, shape (users, at least max(at)).
        truth: worth of a hit, 0 for none, shape (users, things). A worth of 1/n is a thing that stands for n.
        at: lengths of the lists.
    """
    users = np.flatnonzero(np.diff(truth.indptr) > 0)
    lists = ranked[users]
    worth = values_at(truth, np.repeat(users, lists.shape[1]), np.maximum(lists, 0).ravel()).reshape(lists.shape)
    worth = np.where(lists >= 0, worth, 0).astype(np.float64)
    taken = np.diff(truth.indptr)[users]
    discount = 1 / np.log2(np.arange(2, max(max(at), lists.shape[1]) + 2))
    ideal = np.cumsum(discount)
    found: dict[str, NDArray[np.float64]] = {}
    for k in at:
        found[f"recall@{k}"] = worth[:, :k].sum(1) / taken
        found[f"ndcg@{k}"] = (worth[:, :k] * discount[: min(k, lists.shape[1])]).sum(1) / ideal[
            np.minimum(taken, k) - 1
        ]
        found[f"hit@{k}"] = worth[:, :k].max(1, initial=0)
    return Measured(found)


def of_groups(truth: sparse.csr_matrix, group: NDArray[np.int32], groups: int) -> sparse.csr_matrix:
    """What users took, by group of items: contents or codes.

    Args:
        truth: 1 for each item taken, shape (users, items).
        group: group of each item, shape (items,).
        groups: number of groups.

    Returns:
        1 for each group with an item taken, shape (users, groups).
    """
    rows = np.repeat(np.arange(truth.shape[0]), np.diff(truth.indptr))
    found = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, group[truth.indices])), (truth.shape[0], groups))
    found.sum_duplicates()
    found.data[:] = 1
    return found


def part_of(
    truth: sparse.csr_matrix, where: sparse.csr_matrix | NDArray[np.bool_], *, inside: bool
) -> sparse.csr_matrix:
    """The part of what was taken that lies in a set of things, or outside of it.

    Args:
        truth: shape (users, things).
        where: the set: things of each user, shape (users, things), or of all users, shape (things,).
        inside: whether the part inside of the set is wanted.
    """
    rows = np.repeat(np.arange(truth.shape[0]), np.diff(truth.indptr))
    held = where[truth.indices] if isinstance(where, np.ndarray) else values_at(where, rows, truth.indices) > 0
    kept = held == inside
    return sparse.csr_matrix((truth.data[kept], (rows[kept], truth.indices[kept])), truth.shape)


def without(ranked: NDArray[np.int32], held: sparse.csr_matrix, most: int) -> NDArray[np.int32]:
    """Lists without what the users took before, for measuring on new things.

    Args:
        ranked: things, best first, padded with -1, shape (users, n).
        held: things that each user took before, shape (users, things).
        most: length of the new lists.
    """
    rows = np.repeat(np.arange(len(ranked)), ranked.shape[1])
    known = values_at(held, rows, np.maximum(ranked, 0).ravel()).reshape(ranked.shape) > 0
    kept = ~known & (ranked >= 0)
    order = np.argsort(~kept, axis=1, kind="stable")[:, :most]
    return np.where(np.take_along_axis(kept, order, 1), np.take_along_axis(ranked, order, 1), -1).astype(np.int32)


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences over users with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def paired(ours: NDArray[np.float64], theirs: NDArray[np.float64], seed: int = 0) -> Difference:
    """The difference of two lists' measures, which are of the same users in the same order.

    Args:
        ours: a measure for each user, shape (users,).
        theirs: the same measure of the other list.
        seed: seed of the draws of users.
    """
    gain = ours - theirs
    if not len(gain):
        return Difference(*[float("nan")] * 3)
    draw = np.random.default_rng(seed)
    means = np.array([gain[draw.integers(0, len(gain), len(gain))].mean() for _ in range(DRAWS)])
    low, high = np.quantile(means, [0.5 - SHARE / 2, 0.5 + SHARE / 2])
    return Difference(float(gain.mean()), float(low), float(high))
