"""Arrow list columns as matrices, without a Python object per number."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from numpy.typing import NDArray


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
    offsets = column.offsets.to_numpy()
    lengths = offsets[1:] - offsets[:-1]
    if column.null_count or (lengths != lengths[0]).any():
        raise ValueError("the lists of this column differ in length or are null")
    return values.reshape(len(column), -1)
