"""Hash-based random numbers, which depend only on the key of a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled


def scramble(keys: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """One 64-bit hash per key by splitmix64, independent of the order and partition of the rows.

    Args:
        keys: 64-bit hashes, of any shape.
        salt: number that selects one of many independent hashes of the same key.
    """
    hashes = np.empty(keys.size, np.uint64)
    _splitmix(keys.ravel(), np.uint64((0x9E3779B97F4A7C15 * (salt + 1)) % 2**64), hashes)
    return hashes.reshape(keys.shape)


@compiled()
def _splitmix(keys, step, hashes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    for row in range(len(keys)):
        z = keys[row] + step
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        hashes[row] = z ^ (z >> np.uint64(31))


def uniform(keys: NDArray[np.uint64], salt: int) -> NDArray[np.float64]:
    """One number in [0, 1) per key and salt, shape (n,); see :func:`scramble`."""
    return (scramble(keys, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53
