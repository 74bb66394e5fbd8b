"""The general search unit (GSU): the few history events that matter for a target.

QARM V2 searches by the inner product of PCA-reduced embeddings, without training, so it is computed in batch. SIM's
hard search takes the events of the target's category; semantic IDs can stand in for the category.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

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
    """The k best history events of every target, best first.

    Of two equal scores the later event comes first. Events are not deduplicated: QARM V2 found that this lowers AUC.
    A target's result depends on its own vector and the events it may see, to the bit: not on other targets, later
    events, or how the targets are dealt to calls. Runs on one core. Memory: see
    :func:`models.ranker.examples.top_k.top_k`.

    Args:
        targets: target embeddings, shape (n, d).
        visible: how many of the oldest events each target may see, shape (n,).
        history: embeddings of one user's events, oldest first, shape (h, d).
        k: events wanted.
        similar: where the visible events of every target are counted by their score, see
            :func:`models.ranker.examples.top_k.tier_of`; shape (n, TIERS). None: they are not.

    Returns:
        Positions in ``history`` of shape (n, k), -1 where there are no more, and their scores, 0 there.
    """
    positions = np.full((len(targets), k), -1, np.int32)
    scores = np.zeros((len(targets), k), np.float32)
    most = min(k, len(history))
    if most == 0:
        return positions, scores
    history = np.ascontiguousarray(history)
    # Targets that see about as much lie together, so that what they do not see is not scored.
    order = np.argsort(visible, kind="stable")
    for start in range(0, len(targets), TARGETS):
        rows = order[start : start + TARGETS]
        found = top_k(targets[rows], visible[rows], history, most, counts=similar is not None)
        positions[rows, :most], scores[rows, :most] = found.positions, found.scores
        if similar is not None:
            similar[rows] = found.similar
    return positions, scores


def search_by_key(
    targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64], k: int
) -> NDArray[np.int32]:
    """The k latest history events of every target's key; of a key with levels, those that share more come first.

    Args:
        targets: key of every target, one column a level, 0 where it has none, shape (n, levels). Without levels every
            event counts: the k latest.
        visible: how many of the oldest events each target may see, shape (n,).
        history: keys of one user's events, oldest first, shape (h, levels).
        k: events wanted.

    Returns:
        Positions in ``history`` of shape (n, k), -1 where there are no more.
    """
    positions = np.full((len(targets), k), -1, np.int32)
    _latest_of_key(targets, visible, history, positions)
    return positions


def among_latest(
    positions: NDArray[np.int32], targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which of k positions a search for the k latest events of the target's key would find too, without searching.

    Args:
        positions: in ``history``, of visible events, -1 for padding, shape (n, k).
        targets: key of every target, 0 where it has none, shape (n,).
        visible: how many of the oldest events each target may see, shape (n,).
        history: keys of one user's events, oldest first, shape (h,).
    """
    keys, group = np.unique(history, return_inverse=True)
    places = group * (len(history) + 1) + np.arange(len(history))  # by key, then oldest first
    order = np.argsort(places)
    starts = np.searchsorted(group[order], np.arange(len(keys)))
    number = np.empty(len(history), np.int64)  # of events of the same key before
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
    """Inner product of every target with its events, shape (n, k); 0 for padding.

    Args:
        targets: target embeddings, shape (n, d).
        history: embeddings of one user's events, shape (h, d).
        positions: in ``history``, -1 for padding, shape (n, k).
    """
    scores = np.zeros(positions.shape, np.float32)
    if len(history):
        for start in range(0, len(targets), BLOCK):
            rows = slice(start, start + BLOCK)
            scores[rows] = np.einsum("nd,nkd->nk", targets[rows], history[positions[rows]])
    return np.where(positions >= 0, scores, np.float32(0))


@numba.njit(cache=True, nogil=True)
def _mark_latest(positions, wanted, seen, group, number, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    k = positions.shape[1]
    for row in range(positions.shape[0]):
        for i in range(k):
            event = positions[row, i]
            if event < 0:
                break
            out[row, i] = group[event] == wanted[row] and number[event] >= seen[row] - k


@numba.njit(cache=True, nogil=True)
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
