"""Matrices in and out of Arrow list columns, without a Python object per number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def list_column(matrix: NDArray[Any]) -> pa.ListArray:
    """A list column with one row of the matrix, shape (n, d), in each row."""
    rows, width = matrix.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32) if width else np.zeros(rows + 1, np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(matrix).reshape(-1)))


def column_matrix(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """The matrix, shape (n, d), of a list column whose lists are of equal length.

    Raises:
        ValueError: the lists differ in length, or there is a null.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    values = column.flatten().to_numpy(zero_copy_only=False)
    if len(column) == 0:
        return values.reshape(0, 0)
    if column.null_count or len(values) % len(column) or len(set(np.diff(column.offsets.to_numpy()))) > 1:
        raise ValueError("the lists of this column differ in length or are null")
    return values.reshape(len(column), -1)
