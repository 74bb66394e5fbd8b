"""Converts matrices to Arrow columns and back, without a Python object per number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.feed.columns import column_matrix as column_matrix


def list_column(matrix: NDArray[Any]) -> pa.ListArray:
    """A list column from a matrix of shape (n, d): each list is one row of the matrix."""
    rows, width = matrix.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32) if width else np.zeros(rows + 1, np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(matrix).reshape(-1)))


def feature_column(values: NDArray[Any], parts: Sequence[str] = ()) -> pa.Array:
    """A column from ``values``: numbers from shape (n,), lists from shape (n, d), or structs with one part per column.

    Args:
        values: the numbers.
        parts: names of a struct's parts; empty for numbers or lists.

    Raises:
        ValueError: the number of parts is not the number of columns.
    """
    if not parts:
        return list_column(values) if values.ndim == 2 else pa.array(values)
    if values.shape[1:] != (len(parts),):
        raise ValueError(f"values of shape {values.shape} do not fit {len(parts)} parts: {', '.join(parts)}")
    return pa.StructArray.from_arrays([pa.array(part) for part in np.ascontiguousarray(values.T)], names=list(parts))
