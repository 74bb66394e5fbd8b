"""Swing: item-to-item similarity from user pairs that share items.

``s(i, j) = sum over user pairs {u, v} in U_i ∩ U_j of w_u w_v / (alpha2 + |I_u ∩ I_v|)`` with
``w_u = (|I_u| + alpha1)^-beta`` (Yang et al., arXiv 2010.05525; defaults are Flink ML's). QARM V2 exports its
Item2Item pairs from such a model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SwingParameters:
    """Swing's constants.

    Attributes:
        alpha1: smooths the weight of a user.
        alpha2: smooths the overlap of two users.
        beta: how much an active user counts for less.
        top_k: targets kept per trigger.
    """

    alpha1: float = 15.0
    alpha2: float = 0.0
    beta: float = 0.3
    top_k: int = 100

    def __post_init__(self) -> None:
        if min(self.alpha1, self.alpha2, self.beta) < 0 or self.top_k < 1:
            raise ValueError(f"Swing needs alpha1, alpha2, beta >= 0 and top_k >= 1, not {self}")


@dataclass(frozen=True)
class SwingPairs:
    """Scored pairs, grouped by trigger, best first.

    Attributes:
        trigger: item codes, shape (pairs,).
        target: item codes, shape (pairs,).
        score: Swing scores, shape (pairs,).
        support: users of both items, shape (pairs,).
    """

    trigger: NDArray[np.int32]
    target: NDArray[np.int32]
    score: NDArray[np.float64]
    support: NDArray[np.int64]


def swing(
    user_start: NDArray[np.int64],
    user_items: NDArray[np.int32],
    trigger_items: NDArray[np.int32],
    trigger_start: NDArray[np.int64],
    trigger_users: NDArray[np.int32],
    tie_break: NDArray[np.uint64],
    parameters: SwingParameters,
) -> SwingPairs:
    """Scores every item against a set of triggers.

    Users are summed in the order given, so equal input gives equal bits. Memory: the input, one score and one counter
    per item, and ``top_k`` pairs per trigger.

    Args:
        user_start: where each user's items begin in ``user_items``, shape (users + 1,).
        user_items: item codes, ascending and distinct within a user, shape (occurrences,).
        trigger_items: codes of the items to score, shape (triggers,).
        trigger_start: where each trigger's users begin in ``trigger_users``, shape (triggers + 1,).
        trigger_users: positions of the users that have the trigger, ascending within a trigger.
        tie_break: a hash per item code; of two equal scores the smaller hash comes first, shape (items,).
        parameters: the constants.
    """
    sizes = np.diff(user_start)
    weights = (sizes + parameters.alpha1) ** -parameters.beta
    outputs = _swing(
        user_start, user_items, weights, trigger_items, trigger_start, trigger_users, tie_break,
        parameters.alpha2, parameters.top_k,
    )  # fmt: skip
    return SwingPairs(*outputs)


@numba.njit(cache=True, nogil=True)
def _swing(user_start, user_items, weights, trigger_items, trigger_start, trigger_users, tie_break, alpha2, top_k):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    n_items = tie_break.shape[0]
    scores = np.zeros(n_items, np.float64)
    paired = np.zeros(n_items, np.bool_)
    holders = np.zeros(n_items, np.int64)
    mine = np.zeros(n_items, np.bool_)
    touched = np.empty(n_items, np.int32)
    common = np.empty(n_items, np.int32)

    capacity = 1024
    out_trigger = np.empty(capacity, np.int32)
    out_target = np.empty(capacity, np.int32)
    out_score = np.empty(capacity, np.float64)
    out_support = np.empty(capacity, np.int64)
    filled = 0

    for t in range(trigger_items.shape[0]):
        trigger = trigger_items[t]
        users = trigger_users[trigger_start[t] : trigger_start[t + 1]]
        n_touched = 0
        for a in range(users.shape[0]):
            u = users[a]
            for p in range(user_start[u], user_start[u + 1]):
                item = user_items[p]
                mine[item] = True
                if holders[item] == 0:
                    touched[n_touched] = item
                    n_touched += 1
                holders[item] += 1
            for b in range(a):
                v = users[b]
                n_common = 0
                for p in range(user_start[v], user_start[v + 1]):
                    if mine[user_items[p]]:
                        common[n_common] = user_items[p]
                        n_common += 1
                share = weights[u] * weights[v] / (alpha2 + n_common)
                for c in range(n_common):
                    scores[common[c]] += share
                    paired[common[c]] = True
            for p in range(user_start[u], user_start[u + 1]):
                mine[user_items[p]] = False

        n_found = 0
        for p in range(n_touched):
            item = touched[p]
            if paired[item] and item != trigger:
                common[n_found] = item
                n_found += 1
        found = common[:n_found].copy()
        order = np.argsort(tie_break[found], kind="mergesort")
        found = found[order]
        found = found[np.argsort(-scores[found], kind="mergesort")][:top_k]

        while filled + found.shape[0] > capacity:
            capacity *= 2
            out_trigger = _grown(out_trigger, capacity)
            out_target = _grown(out_target, capacity)
            out_score = _grown(out_score, capacity)
            out_support = _grown(out_support, capacity)
        for item in found:
            out_trigger[filled] = trigger
            out_target[filled] = item
            out_score[filled] = scores[item]
            out_support[filled] = holders[item]
            filled += 1
        for p in range(n_touched):
            item = touched[p]
            scores[item] = 0.0
            paired[item] = False
            holders[item] = 0
    return out_trigger[:filled], out_target[:filled], out_score[:filled], out_support[:filled]


@numba.njit(cache=True, nogil=True)
def _grown(array, capacity):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    larger = np.empty(capacity, array.dtype)
    larger[: array.shape[0]] = array
    return larger
