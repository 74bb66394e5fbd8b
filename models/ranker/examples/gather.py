"""Gathers fields of history events by position, each in one compiled pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled


def gather(values: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.int32]:
    """Values at given positions, 0 for position -1; shape (n, k).

    Args:
        values: a value of each of one user's events, shape (h,).
        positions: positions of events, -1 for padding, shape (n, k).
    """
    out = np.zeros(positions.shape, np.int32)
    _gather(np.ascontiguousarray(values, np.int32), positions, out)
    return out


def buckets(
    upper: NDArray[np.int64], values: NDArray[np.int64], positions: NDArray[np.int32], borders: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Bucket of ``upper`` minus the value at each position, shape (n, k).

    Bucket 0 is padding, bucket 1 holds differences below the first border, bucket 2 those from the first border up to
    the second, and so on.

    Args:
        upper: a number for every row, shape (n,).
        values: a value of each of one user's events, shape (h,).
        positions: positions of events, -1 for padding, shape (n, k).
        borders: starts of the second and later buckets, ascending, shape (b,).
    """
    out = np.zeros(positions.shape, np.int32)
    _buckets(upper, values, positions, borders, out)
    return out


@compiled()
def _gather(values, positions, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    for row in range(positions.shape[0]):
        for i in range(positions.shape[1]):
            if positions[row, i] >= 0:
                out[row, i] = values[positions[row, i]]


@compiled()
def _buckets(upper, values, positions, borders, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    for row in range(positions.shape[0]):
        for i in range(positions.shape[1]):
            if positions[row, i] >= 0:
                distance = upper[row] - values[positions[row, i]]
                bucket = np.int32(1)
                for border in borders:
                    bucket += np.int32(distance >= border)
                out[row, i] = bucket
