"""How a user's taste goes with a target and with those who take it.

A mean over a long history hides what the user lately turned to, and what all users have in common hides both. So a
taste is a direction away from the mean user's, and there are two of it, lately and in all. A target is met twice: by
its own behaviour vector, and by its audience, the mean taste of the users who took it, which knows of a target's users
what its vector, fitted to tell items apart, does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.registry import feature
from models.ranker.examples.shrinkage import unit

LATELY = 100
"""Events that a late taste is of."""


def tastes(sums: NDArray[np.float64], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Directions of users away from the mean user; 0 for a user without vectors.

    Args:
        sums: sum of the behaviour vectors of what each user took, shape (n, d).
        mean: of all users' sums, each brought to length 1, shape (d,).

    Returns:
        Of length 1 or 0, shape (n, d).
    """
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    directions = sums / np.where(length > 0, length, 1)
    return unit(np.where(length > 0, directions - mean, 0).astype(np.float32))


@feature
def taste(of: Context) -> NDArray[np.float32]:
    """The whole history's taste with the target's audience and with its vector, then the late taste with both.

    By the newest fine behaviour vectors that were fitted before the target; 0 where no vectors are old enough or the
    user has none.
    """
    out = np.zeros((len(of.targets.rows), 4), np.float32)
    history, index = of.past.rows, of.index
    for number, rows in of.behaviour_fits:
        vectors, mean = index.behaviour_fine[number], index.behaviour_mean[number]
        targets = of.targets.rows[rows]
        of_target = index.behaviour_audience[number][targets], vectors[targets]
        # Running sums are of earlier events alone, so later ones change nothing.
        sums = np.zeros((len(history) + 1, vectors.shape[1]))
        np.cumsum(vectors[history], axis=0, dtype=np.float64, out=sums[1:])
        seen = of.visible[rows]
        whole, late = tastes(sums[seen], mean), tastes(sums[seen] - sums[np.maximum(seen - LATELY, 0)], mean)
        parts = [(own * side).sum(1) for own in (whole, late) for side in of_target]
        out[rows] = np.stack(parts, axis=1)
    return out
