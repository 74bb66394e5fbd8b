"""Matrices in and out of Arrow columns, without a Python object per number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.feed.columns import column_matrix as column_matrix


def list_column(matrix: NDArray[Any]) -> pa.ListArray:
    """A list column with one row of the matrix, shape (n, d), in each row."""
    rows, width = matrix.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32) if width else np.zeros(rows + 1, np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(matrix).reshape(-1)))


def feature_column(values: NDArray[Any], parts: Sequence[str] = ()) -> pa.Array:
    """A column with a row of ``values`` in each row: numbers, lists, or structs of parts of these names.

    Raises:
        ValueError: there are not as many parts as columns.
    """
    if not parts:
        return list_column(values) if values.ndim == 2 else pa.array(values)
    if values.shape[1:] != (len(parts),):
        raise ValueError(f"values of shape {values.shape} have not the {len(parts)} parts {', '.join(parts)}")
    return pa.StructArray.from_arrays([pa.array(part) for part in np.ascontiguousarray(values.T)], names=list(parts))
