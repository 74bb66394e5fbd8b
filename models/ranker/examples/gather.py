"""What history events carry, gathered by position, in one compiled pass each."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


def gather(values: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.int32]:
    """The values at the positions, 0 at -1; shape of ``positions``.

    Args:
        values: of one user's events, shape (h,).
        positions: shape (n, k).
    """
    out = np.zeros(positions.shape, np.int32)
    _gather(np.ascontiguousarray(values, np.int32), positions, out)
    return out


def buckets(
    upper: NDArray[np.int64], values: NDArray[np.int64], positions: NDArray[np.int32], borders: NDArray[np.int64]
) -> NDArray[np.int32]:
    """One more than the borders that ``upper`` less the value at the position reaches, 0 at -1; shape of ``positions``.

    Args:
        upper: of every row, shape (n,).
        values: of one user's events, shape (h,).
        positions: shape (n, k).
        borders: ascending, shape (b,).
    """
    out = np.zeros(positions.shape, np.int32)
    _buckets(upper, values, positions, borders, out)
    return out


@numba.njit(cache=True, nogil=True)
def _gather(values, positions, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    for row in range(positions.shape[0]):
        for i in range(positions.shape[1]):
            if positions[row, i] >= 0:
                out[row, i] = values[positions[row, i]]


@numba.njit(cache=True, nogil=True)
def _buckets(upper, values, positions, borders, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    for row in range(positions.shape[0]):
        for i in range(positions.shape[1]):
            if positions[row, i] >= 0:
                distance = upper[row] - values[positions[row, i]]
                bucket = np.int32(1)
                for border in borders:
                    bucket += np.int32(distance >= border)
                out[row, i] = bucket
