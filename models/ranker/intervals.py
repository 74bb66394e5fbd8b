"""AUC, GAUC and UAUC of many examples, with bootstrap intervals over users.

Users are put into bags by a hash, and a bootstrap draws bags with replacement. Of a bag only counts are kept: its
positive and negative examples in every bin of the scores, and sums of its users' AUCs. So a draw costs the same however
many users there are, and with many more users than bags it varies as a draw of users does (a bootstrap of clusters,
Field and Welsh, 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.ranker.training.metrics import auc_per_group

BAGS, BINS, DRAWS, SHARE = 100, 512, 1000, 0.95
SUMS = ("ranked", "auc", "impressions", "weighted")
"""Sums over the users of a bag who have both classes: users, AUCs, examples, AUCs times examples."""


@dataclass(frozen=True)
class Counts:
    """Counts of bags of users.

    Attributes:
        positives: positive examples of every bag and bin, shape (bags, bins).
        negatives: negative examples, shape (bags, bins).
        sums: :data:`SUMS` of every bag, shape (bags, 4).
    """

    positives: NDArray[Any]
    negatives: NDArray[Any]
    sums: NDArray[Any]


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; NaN where it is undefined."""

    value: float
    low: float
    high: float


def count(
    bags: NDArray[np.int64],
    users: NDArray[np.int64],
    labels: NDArray[np.float64],
    scores: NDArray[np.float64],
    *,
    edges: NDArray[np.float64],
) -> Counts:
    """Counts the examples of every bag.

    Args:
        bags: bag of every example, from 0 to :data:`BAGS` - 1, shape (n,).
        users: number of its user, shape (n,).
        labels: 0 or 1, shape (n,).
        scores: higher is more likely 1, shape (n,).
        edges: inner edges of the bins, ascending, at most :data:`BINS` - 1.
    """
    cell = bags * BINS + np.searchsorted(edges, scores, side="right")
    total = np.bincount(cell, minlength=BAGS * BINS)
    positive = np.bincount(cell, weights=labels, minlength=BAGS * BINS)
    found = auc_per_group(users, labels, scores)
    bag_of_user = np.zeros(int(users.max(initial=-1)) + 1, np.int64)
    bag_of_user[users] = bags
    there = ~np.isnan(found.auc)
    of, auc, size = bag_of_user[found.group[there]], found.auc[there], found.count[there].astype(np.float64)
    columns = [np.ones_like(auc), auc, size, auc * size]
    sums = np.stack([np.bincount(of, weights=column, minlength=BAGS) for column in columns], 1)
    return Counts(positive.reshape(BAGS, BINS), (total - positive).reshape(BAGS, BINS), sums)


def intervals(counts: Counts, seed: int = 0) -> dict[str, Interval]:
    """The metrics ``auc``, ``gauc`` and ``uauc`` with intervals: quantiles of :data:`DRAWS` draws of bags.

    Two examples in the same bin count as tied in the AUC. With fewer than two bags there is no interval.

    Memory: :data:`DRAWS` times :data:`BINS` numbers, a few times.

    Args:
        counts: counts of the bags.
        seed: seed of the draws.
    """
    filled = (counts.positives.sum(1) + counts.negatives.sum(1)) > 0
    bags = int(filled.sum())
    drawn = np.random.default_rng(seed).multinomial(bags, np.full(max(bags, 1), 1 / max(bags, 1)), DRAWS)
    weights = np.concatenate([np.ones((1, max(bags, 1)), np.int64), drawn]).astype(np.float64)
    if not bags:
        filled[0] = True
    positives, negatives, sums = (weights @ part[filled] for part in (counts.positives, counts.negatives, counts.sums))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "auc": binned_auc(positives, negatives),
            "gauc": sums[:, 3] / sums[:, 2],
            "uauc": sums[:, 1] / sums[:, 0],
        }
    return {name: _interval(values, bags) for name, values in found.items()}


def binned_auc(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> NDArray[np.float64]:
    """The AUC of examples that are counted by bins; NaN if a class is missing.

    Args:
        positives: positive examples of every bin, shape (rows, bins).
        negatives: negative examples, shape (rows, bins).

    Returns:
        The AUC of every row, shape (rows,).
    """
    below = np.cumsum(negatives, 1) - negatives / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        value: NDArray[np.float64] = (positives * below).sum(1) / (positives.sum(1) * negatives.sum(1))
    return value


def _interval(values: NDArray[np.float64], bags: int) -> Interval:
    drawn = values[1:][~np.isnan(values[1:])]
    if bags < 2 or not len(drawn):
        return Interval(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [0.5 - SHARE / 2, 0.5 + SHARE / 2])
    return Interval(float(values[0]), float(low), float(high))
