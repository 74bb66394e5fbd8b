"""The general search unit (GSU): the few history events that are nearest to a target.

QARM V2 searches by the inner product of PCA-reduced embeddings, without training, so it is computed in batch.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

BLOCK = 512


def search(
    targets: NDArray[np.float32],
    visible: NDArray[np.int64],
    history: NDArray[np.float32],
    k: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k best history events of every target, best first.

    Of two equal scores the later event comes first. Events are not deduplicated: QARM V2 found that this lowers AUC.
    Memory: 512 * history scores at a time.

    Args:
        targets: target embeddings, shape (n, d).
        visible: how many of the oldest events each target may see, shape (n,).
        history: embeddings of one user's events, oldest first, shape (h, d).
        k: events wanted.

    Returns:
        Positions in ``history`` of shape (n, k), -1 where there are no more, and their scores, 0 there.
    """
    positions = np.full((len(targets), k), -1, np.int32)
    scores = np.zeros((len(targets), k), np.float32)
    for start in range(0, len(targets), BLOCK):
        rows = slice(start, start + BLOCK)
        _top_k(targets[rows] @ history.T, visible[rows], positions[rows], scores[rows])
    return positions, scores


@numba.njit(cache=True, nogil=True)
def _top_k(scores, visible, out_positions, out_scores):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    k = out_positions.shape[1]
    for row in range(scores.shape[0]):
        filled = 0
        for event in range(visible[row] - 1, -1, -1):
            score = scores[row, event]
            if filled == k and score <= out_scores[row, k - 1]:
                continue
            if filled < k:
                filled += 1
            place = filled - 1
            while place > 0 and out_scores[row, place - 1] < score:
                out_scores[row, place] = out_scores[row, place - 1]
                out_positions[row, place] = out_positions[row, place - 1]
                place -= 1
            out_scores[row, place] = score
            out_positions[row, place] = event
