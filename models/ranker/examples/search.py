"""The general search unit (GSU), which selects the few events of a history that matter for a target.

QARM V2 searches by the inner product of PCA-reduced embeddings. The search needs no training, so it runs in batch when
the examples are built. SIM's hard search selects events of the target's category, or of its semantic ID.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.ranker.examples.top_k import TARGETS, top_k

BLOCK = 512


def search(
    targets: NDArray[np.float32],
    visible: NDArray[np.int64],
    history: NDArray[np.float32],
    k: int,
    *,
    similar: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k visible events of every target with the highest inner products, highest first.

    Of two events with equal scores the later comes first. Events are not deduplicated, because QARM V2 found that this
    lowers AUC. A target's result depends bitwise only on its own vector and on the events visible to it, not on other
    targets, on later events or on the split of targets into calls. Runs on one core. Memory: see
    :func:`models.ranker.examples.top_k.top_k`.

    Args:
        targets: embeddings of the targets, shape (n, d).
        visible: number of events visible to each target, which are the oldest ones, shape (n,).
        history: embeddings of one user's events, oldest first, shape (h, d).
        k: number of events to find.
        similar: array that receives the number of visible events per tier of score, see
            :class:`models.ranker.examples.top_k.Best`, shape (n, TIERS); None to skip this.

    Returns:
        Positions in ``history``, padded with -1, shape (n, k); their scores, padded with 0, shape (n, k).
    """
    positions = np.full((len(targets), k), -1, np.int32)
    scores = np.zeros((len(targets), k), np.float32)
    most = min(k, len(history))
    if most == 0:
        return positions, scores
    history = np.ascontiguousarray(history)
    # Targets with similar numbers of visible events are processed together, so that few invisible events are scored.
    order = np.argsort(visible, kind="stable")
    for start in range(0, len(targets), TARGETS):
        rows = order[start : start + TARGETS]
        found = top_k(targets[rows], visible[rows], history, most)
        positions[rows, :most], scores[rows, :most] = found.positions, found.scores
        if similar is not None:
            similar[rows] = found.similar
    return positions, scores


def search_by_key(
    targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64], k: int
) -> NDArray[np.int32]:
    """The k latest visible events that share leading levels of every target's key, ordered by shared levels first.

    Args:
        targets: key of every target, one column per level, 0 for none, shape (n, levels). With 0 levels, the result is
            the k latest events.
        visible: number of events visible to each target, which are the oldest ones, shape (n,).
        history: keys of one user's events, oldest first, shape (h, levels).
        k: number of events to find.

    Returns:
        Positions in ``history``, padded with -1, shape (n, k).
    """
    positions = np.full((len(targets), k), -1, np.int32)
    _latest_of_key(targets, visible, history, positions)
    return positions


def among_latest(
    positions: NDArray[np.int32], targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether a search for the k latest events with the target's key would find each given event; shape (n, k).

    Args:
        positions: positions of visible events in ``history``, -1 for padding, shape (n, k).
        targets: key of every target, 0 for none, shape (n,).
        visible: number of events visible to each target, which are the oldest ones, shape (n,).
        history: keys of one user's events, oldest first, shape (h,).
    """
    keys, group = np.unique(history, return_inverse=True)
    places = group * (len(history) + 1) + np.arange(len(history))  # by key, then oldest first
    order = np.argsort(places)
    starts = np.searchsorted(group[order], np.arange(len(keys)))
    number = np.empty(len(history), np.int64)  # earlier events with the same key
    number[order] = np.arange(len(history)) - starts[group[order]]
    wanted = np.searchsorted(keys, targets)
    known = (targets != 0) & (np.append(keys, 0)[wanted] == targets)
    wanted = np.where(known, wanted, -1)
    seen = np.searchsorted(places[order], wanted * (len(history) + 1) + visible) - np.append(starts, 0)[wanted]
    there = np.zeros(positions.shape, np.bool_)
    _mark_latest(positions, wanted, seen, group, number, there)
    return there


def similarities(
    targets: NDArray[np.float32], history: NDArray[np.float32], positions: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Inner products of every target with its events, 0 for padding; shape (n, k).

    Args:
        targets: embeddings of the targets, shape (n, d).
        history: embeddings of one user's events, shape (h, d).
        positions: positions of events in ``history``, -1 for padding, shape (n, k).
    """
    scores = np.zeros(positions.shape, np.float32)
    if len(history):
        for start in range(0, len(targets), BLOCK):
            rows = slice(start, start + BLOCK)
            scores[rows] = np.einsum("nd,nkd->nk", targets[rows], history[positions[rows]])
    return np.where(positions >= 0, scores, np.float32(0))


@compiled()
def _mark_latest(positions, wanted, seen, group, number, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    k = positions.shape[1]
    for row in range(positions.shape[0]):
        for i in range(k):
            event = positions[row, i]
            if event < 0:
                break
            out[row, i] = group[event] == wanted[row] and number[event] >= seen[row] - k


@compiled()
def _latest_of_key(targets, visible, history, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    levels, k = targets.shape[1], out.shape[1]
    for row in range(targets.shape[0]):
        filled, shared = 0, levels
        while filled < k and shared >= min(levels, 1):
            for event in range(visible[row] - 1, -1, -1):
                same = 0
                while same < levels and targets[row, same] != 0 and targets[row, same] == history[event, same]:
                    same += 1
                if same == shared:
                    out[row, filled] = event
                    filled += 1
                    if filled == k:
                        break
            shared -= 1
