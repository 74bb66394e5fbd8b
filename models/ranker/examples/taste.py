"""Features that compare a user's taste with a target and with the target's audience.

A user's taste is the mean behaviour vector of the user's events minus the mean over all users, scaled to length 1; the
subtraction removes what all users have in common. One taste is computed from the whole history and one from the last
events, because a mean over a long history hides a recent change. Each taste is compared with the target's own behaviour
vector and with the target's audience, which is the mean taste of the users who took the target. The audience describes
these users, while the behaviour vector is fitted to distinguish items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.registry import feature
from models.ranker.examples.shrinkage import unit

LATELY = 100
"""Number of last events that the recent taste is computed from."""


def tastes(sums: NDArray[np.float64], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tastes: unit vectors of the differences between each user's direction and the mean user.

    Args:
        sums: sum of the behaviour vectors of each user's events, shape (n, d).
        mean: mean of all users' sums after scaling each sum to length 1, shape (d,).

    Returns:
        Unit vectors, or 0 for a user without behaviour vectors, shape (n, d).
    """
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    directions = sums / np.where(length > 0, length, 1)
    return unit(np.where(length > 0, directions - mean, 0).astype(np.float32))


@feature
def taste(of: Context) -> NDArray[np.float32]:
    """Inner products of the whole history's taste with the target's audience and vector, then of the recent taste.

    They use the fine behaviour vectors of the newest fit before the target. All are 0 if there is no such fit, or if
    none of the user's events has a behaviour vector.
    """
    out = np.zeros((len(of.targets.rows), 4), np.float32)
    history, index = of.past.rows, of.index
    for number, rows in of.behaviour_fits:
        vectors, mean = index.behaviour_fine[number], index.behaviour_mean[number]
        targets = of.targets.rows[rows]
        of_target = index.behaviour_audience[number][targets], vectors[targets]
        # Cumulative sums make a target's taste depend on visible events only.
        sums = np.zeros((len(history) + 1, vectors.shape[1]))
        np.cumsum(vectors[history], axis=0, dtype=np.float64, out=sums[1:])
        seen = of.visible[rows]
        whole, late = tastes(sums[seen], mean), tastes(sums[seen] - sums[np.maximum(seen - LATELY, 0)], mean)
        parts = [(own * side).sum(1) for own in (whole, late) for side in of_target]
        out[rows] = np.stack(parts, axis=1)
    return out
