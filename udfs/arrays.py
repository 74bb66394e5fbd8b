"""Matrices in and out of Arrow list columns, without a Python object per number."""

from __future__ import annotations

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
