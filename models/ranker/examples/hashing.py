"""Hash-based random numbers, which depend only on the key of a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def scramble(keys: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """One 64-bit hash per key by splitmix64, independent of the order and partition of the rows.

    Args:
        keys: 64-bit hashes, shape (n,).
        salt: number that selects one of many independent hashes of the same key.
    """
    with np.errstate(over="ignore"):
        z = keys + np.uint64((0x9E3779B97F4A7C15 * (salt + 1)) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(keys: NDArray[np.uint64], salt: int) -> NDArray[np.float64]:
    """One number in [0, 1) per key and salt, shape (n,); see :func:`scramble`."""
    return (scramble(keys, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53
