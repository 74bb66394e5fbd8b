"""Converts Arrow columns with several numbers per row to matrices, without a Python object per number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def column_matrix(column: pa.Array | pa.ChunkedArray, parts: Sequence[str] = ()) -> NDArray[Any]:
    """Converts a column of lists with equal lengths, or of STRUCTs, to a matrix of shape (n, d).

    Args:
        column: a column of lists or of STRUCTs.
        parts: names of the STRUCT's fields, in the order of the matrix's columns.

    Raises:
        ValueError: the lists differ in length, the STRUCT's fields are not ``parts`` in this order, or a value is null.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if pa.types.is_struct(column.type):
        return _struct_matrix(column, parts)
    values = column.flatten().to_numpy(zero_copy_only=False)
    if len(column) == 0:
        return values.reshape(0, 0)
    offsets = column.offsets.to_numpy()
    lengths = offsets[1:] - offsets[:-1]
    if column.null_count or (lengths != lengths[0]).any():
        raise ValueError("the lists of this column differ in length or are null")
    return values.reshape(len(column), -1)


def _struct_matrix(column: pa.StructArray, parts: Sequence[str]) -> NDArray[Any]:
    names = [field.name for field in column.type]
    if names != list(parts):
        raise ValueError(
            f"the STRUCT's fields are {', '.join(names)}, not {', '.join(parts) or 'declared'}; build the table again"
        )
    values = column.flatten()
    if column.null_count or any(part.null_count for part in values):
        raise ValueError("null is not allowed")
    return np.stack([part.to_numpy(zero_copy_only=False) for part in values], axis=1)
