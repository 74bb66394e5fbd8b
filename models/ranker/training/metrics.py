"""AUC, and AUC within groups, for GAUC and UAUC; a tied pair counts one half."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def auc(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """Area under the ROC curve; NaN if all labels are equal.

    Args:
        labels: 0 or 1, shape (n,).
        scores: higher is more likely 1, shape (n,).
    """
    result = auc_per_group(np.zeros(len(labels), np.int64), labels, scores)
    return float(result.auc[0]) if len(result.auc) else float("nan")


@dataclass(frozen=True)
class GroupAuc:
    """AUC of every group.

    Attributes:
        group: group ids, ascending, shape (groups,).
        auc: AUC of each group, NaN if all its labels are equal, shape (groups,).
        count: number of rows of each group, shape (groups,).
    """

    group: NDArray[np.int64]
    auc: NDArray[np.float64]
    count: NDArray[np.int64]


def auc_per_group(groups: NDArray[np.int64], labels: NDArray[Any], scores: NDArray[Any]) -> GroupAuc:
    """AUC within every group, computed from the sum of the positives' mid-ranks.

    Args:
        groups: group of every row, shape (n,).
        labels: 0 or 1, shape (n,).
        scores: higher is more likely 1, shape (n,).
    """
    order = np.lexsort((scores, groups))
    groups, labels, scores = groups[order], labels[order].astype(np.float64), scores[order]
    n = len(groups)
    new_group = np.ones(n, bool)
    new_group[1:] = groups[1:] != groups[:-1]
    new_value = new_group.copy()
    new_value[1:] |= scores[1:] != scores[:-1]
    group_start = np.flatnonzero(new_group)
    value_start = np.flatnonzero(new_value)
    value_size = np.diff(np.append(value_start, n))
    group_of_row = np.cumsum(new_group) - 1
    mid_rank = np.repeat(value_start + (value_size + 1) / 2, value_size) - group_start[group_of_row]
    count = np.diff(np.append(group_start, n))
    positives = np.add.reduceat(labels, group_start) if n else np.empty(0)
    ranks = np.add.reduceat(labels * mid_rank, group_start) if n else np.empty(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (ranks - positives * (positives + 1) / 2) / (positives * (count - positives))
    value[(positives == 0) | (positives == count)] = np.nan
    return GroupAuc(groups[group_start], value, count)
