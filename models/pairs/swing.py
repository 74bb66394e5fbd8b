"""Swing: item-to-item similarity from user pairs that share items.

``s(i, j) = sum over user pairs {u, v} in U_i ∩ U_j of w_u w_v / (alpha2 + |I_u ∩ I_v|)`` with
``w_u = (|I_u| + alpha1)^-beta`` (Yang et al., arXiv 2010.05525). QARM V2 exports its
Item2Item pairs from such a model.

The kernel scores one trigger at a time and visits each of its user pairs once. It adds the trigger's users in order,
and every item keeps a list of the added users that hold it. A first pass over a new user's items counts the user's
overlap with each earlier user, a second pass adds the pair's terms to the scores. The cost of a trigger is therefore
the sum of the overlaps of its user pairs, which is the number of terms in the formula; the lengths of the users'
histories do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled


@dataclass(frozen=True, kw_only=True)
class SwingParameters:
    """Constants of Swing and limits on its pairs.

    Attributes:
        alpha1: smoothing constant of a user's weight.
        alpha2: smoothing constant of the overlap of two users.
        beta: exponent that lowers the weight of users with many items; 0 weights all users equally.
        top_k: targets kept per trigger.
        min_support: smallest number of users that hold both items of a pair.
        significance: a pair is kept if its support minus this many standard errors (square roots of the support) is
            above the support expected by chance from the popularity of its items; 0 keeps every pair.
        popularity_power: scores are divided by the target's popularity to this power; 0 leaves them unchanged.
    """

    alpha1: float
    alpha2: float
    beta: float
    top_k: int
    min_support: int
    significance: float
    popularity_power: float

    def __post_init__(self) -> None:
        if min(self.alpha1, self.alpha2, self.beta, self.significance, self.popularity_power) < 0:
            raise ValueError(f"Swing's constants must be at least 0; set them so in [mine]: {self}")
        if min(self.top_k, self.min_support) < 1:
            raise ValueError(f"Swing's top_k and min_support must be at least 1; set them so in [mine]: {self}")


@dataclass(frozen=True)
class UserItems:
    """Users' items in one flat array (CSR layout), with the attributes of each item that the kernel reads.

    Attributes:
        start: position of each user's first item in ``items``, shape (users + 1,).
        items: item codes, distinct within a user, shape (occurrences,).
        is_trigger: whether this user counts when the item is scored as a trigger, shape (occurrences,).
        tie_break: a hash per item; of two targets with equal scores the smaller hash comes first, shape (items,).
        popularity: number of users that hold the item, over all users, shape (items,).
        total_users: number of all users, including those outside this layout.
        contents: a content code per item; two items with the same code form no pair, shape (items,). None: every two
            items may form a pair.
        decay: weight of each occurrence by its age, shape (occurrences,). None: all weights are 1.
    """

    start: NDArray[np.int64]
    items: NDArray[np.int32]
    is_trigger: NDArray[np.bool_]
    tie_break: NDArray[np.uint64]
    popularity: NDArray[np.int64]
    total_users: int
    contents: NDArray[np.int32] | None = None
    decay: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class SwingPairs:
    """Scored pairs, grouped by trigger, best first.

    Attributes:
        trigger: item codes, shape (pairs,).
        target: item codes, shape (pairs,).
        score: Swing scores, shape (pairs,).
        support: number of users that hold both items, among the users that the trigger was scored on, shape (pairs,).
    """

    trigger: NDArray[np.int32]
    target: NDArray[np.int32]
    score: NDArray[np.float64]
    support: NDArray[np.int64]


def swing(layout: UserItems, parameters: SwingParameters) -> SwingPairs:
    """Scores the targets of every trigger in a layout.

    With decay, user u's term for the pair (i, j) is multiplied by the decays of u's two occurrences. Users are added in
    the layout's order, so equal inputs give bitwise equal scores. Memory: the input, the item lists of one trigger's
    users (12 bytes for each item in their histories), a few numbers per item, and ``top_k`` pairs per trigger.

    Args:
        layout: users, their items and the triggers.
        parameters: Swing's constants.
    """
    weights = (np.diff(layout.start) + parameters.alpha1) ** -parameters.beta
    items = np.arange(len(layout.tie_break), dtype=np.int32)
    outputs = _swing(
        layout.start,
        layout.items,
        weights,
        *_holders(layout.start, layout.items, layout.is_trigger, len(items)),
        layout.tie_break,
        items if layout.contents is None else layout.contents,
        np.empty(0) if layout.decay is None else layout.decay,
        layout.popularity / layout.total_users,
        layout.popularity.astype(np.float64) ** -parameters.popularity_power,
        parameters.alpha2,
        parameters.top_k,
        parameters.min_support,
        parameters.significance,
    )
    return SwingPairs(*outputs)


@compiled()
def _holders(start, items, is_trigger, n_items):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Users that each item is scored on as a trigger, in the layout's order, found by a counting sort."""
    begin = np.zeros(n_items + 1, np.int64)
    for p in range(items.shape[0]):
        if is_trigger[p]:
            begin[items[p] + 1] += 1
    for item in range(n_items):
        begin[item + 1] += begin[item]
    place = begin[:-1].copy()
    users = np.empty(begin[n_items], np.int32)
    for u in range(start.shape[0] - 1):
        for p in range(start[u], start[u + 1]):
            if is_trigger[p]:
                users[place[items[p]]] = u
                place[items[p]] += 1
    return begin, users


@compiled()
def _swing(  # type: ignore[no-untyped-def] # noqa: ANN202, PLR0917
    start, items, weights, holder_start, holders, tie_break, contents, decay, chance, factors, alpha2, top_k,  # noqa: ANN001
    min_support, significance,  # noqa: ANN001
):  # fmt: skip
    n_items = tie_break.shape[0]
    support = np.zeros(n_items, np.int64)
    scores = np.zeros(n_items, np.float64)
    begin = np.empty(n_items, np.int64)
    length = np.empty(n_items, np.int64)
    wanted = np.empty(n_items, np.bool_)
    touched = np.empty(n_items, np.int32)
    lists, list_decay = np.empty(0, np.int32), np.empty(0, np.float64)

    out_trigger, out_target = np.empty(1024, np.int32), np.empty(1024, np.int32)
    out_score, out_support = np.empty(1024, np.float64), np.empty(1024, np.int64)
    filled = 0

    for trigger in range(n_items):
        users = holders[holder_start[trigger] : holder_start[trigger + 1]]
        if users.shape[0] < max(2, min_support):
            continue
        seen = touched[: _count_holders(users, start, items, support, touched)]
        needed = 0
        for item in seen:
            # An item held by only one user adds to no overlap; the trigger itself adds 1 to every overlap.
            n = support[item]
            begin[item] = needed
            length[item] = 0 if n > 1 and item != trigger else -1
            needed += n if length[item] == 0 else 0
            wanted[item] = length[item] == 0 and n >= min_support and contents[item] != contents[trigger]
            if significance > 0 and n - significance * np.sqrt(n) <= users.shape[0] * chance[item]:
                wanted[item] = False
        if needed > lists.shape[0]:
            lists = np.empty(2 * needed, np.int32)
            list_decay = np.empty(2 * needed if decay.shape[0] else 0, np.float64)
        _add_user_pairs(
            trigger, users, start, items, weights, decay, alpha2, wanted, begin, length, lists, list_decay, scores
        )
        n_found = 0
        for q in range(seen.shape[0]):
            item = seen[q]
            if wanted[item]:
                scores[item] *= factors[item]
                seen[n_found], seen[q] = item, seen[n_found]
                n_found += 1
        best = _best(seen[:n_found], scores, tie_break, top_k)
        if filled + best.shape[0] > out_trigger.shape[0]:
            capacity = 2 * (filled + best.shape[0])
            out_trigger, out_target = _enlarged(out_trigger, capacity), _enlarged(out_target, capacity)
            out_score, out_support = _enlarged(out_score, capacity), _enlarged(out_support, capacity)
        for item in best:
            out_trigger[filled], out_target[filled] = trigger, item
            out_score[filled], out_support[filled] = scores[item], support[item]
            filled += 1
        for item in seen:
            scores[item] = 0.0
            support[item] = 0
    return out_trigger[:filled], out_target[:filled], out_score[:filled], out_support[:filled]


@compiled()
def _count_holders(users, start, items, support, touched):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Counts how many of the users hold each item; returns the number of distinct items found."""
    n_touched = 0
    for u in users:
        for p in range(start[u], start[u + 1]):
            if support[items[p]] == 0:
                touched[n_touched] = items[p]
                n_touched += 1
            support[items[p]] += 1
    return n_touched


@compiled()
def _add_user_pairs(  # type: ignore[no-untyped-def] # noqa: ANN202, PLR0917
    trigger, users, start, items, weights, decay, alpha2, wanted, begin, length, lists, list_decay, scores  # noqa: ANN001
):  # fmt: skip
    """Adds the users one by one; from ``begin[item]`` on, ``lists`` holds the added users that hold the item."""
    overlap = np.empty(users.shape[0], np.int64)
    share = np.empty(users.shape[0], np.float64)
    own = weights[users]
    for a in range(users.shape[0]):
        first, last = start[users[a]], start[users[a] + 1]
        overlap[:a] = 1
        for p in range(first, last):
            item = items[p]
            for q in range(begin[item], begin[item] + length[item]):
                overlap[lists[q]] += 1
            if item == trigger and decay.shape[0]:
                own[a] *= decay[p]
        for b in range(a):
            share[b] = own[a] * own[b] / (alpha2 + overlap[b])
        for p in range(first, last):
            item = items[p]
            if length[item] < 0:
                continue
            end = begin[item] + length[item]
            if wanted[item]:
                added = 0.0
                if decay.shape[0]:
                    for q in range(begin[item], end):
                        added += share[lists[q]] * list_decay[q]
                    added *= decay[p]
                else:
                    for q in range(begin[item], end):
                        added += share[lists[q]]
                scores[item] += added
            lists[end] = a
            if decay.shape[0]:
                list_decay[end] = decay[p]
            length[item] += 1


@compiled()
def _best(found, scores, tie_break, top_k):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """The ``top_k`` found items with the highest scores, highest first."""
    if found.shape[0] > top_k:
        values = scores[found]
        worst = np.partition(values, found.shape[0] - top_k)[found.shape[0] - top_k]
        found = found[values >= worst]
    found = found[np.argsort(tie_break[found], kind="mergesort")]
    return found[np.argsort(-scores[found], kind="mergesort")][:top_k]


@compiled()
def _enlarged(array, capacity):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    larger = np.empty(capacity, array.dtype)
    larger[: array.shape[0]] = array
    return larger
