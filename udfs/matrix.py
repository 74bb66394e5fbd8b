"""Copies a column of vectors from Spark to a file on the driver, one block at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame

from udfs.arrays import column_matrix


def _pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if batch.num_rows:
            vectors = np.ascontiguousarray(column_matrix(batch.column(0)), np.float32)
            columns = [pa.array([vectors.tobytes()], pa.binary()), pa.array([vectors.shape[1]], pa.int32())]
            yield pa.RecordBatch.from_arrays(columns, ["block", "width"])


ROWS_AT_A_TIME = 5_000
"""Approximate rows per task. The driver receives the rows of one task at a time."""


def gather_matrix(rows: DataFrame, column: str, order: Sequence[str | Column], path: Path) -> NDArray[np.float32]:
    """Writes a column of equally long float vectors to a file.

    Driver memory: a few copies of some thousand vectors. Driver disk: all vectors.

    Args:
        rows: the rows; they are counted first.
        column: column of type ARRAY<FLOAT>, without nulls.
        order: columns that define a unique order, in which the rows are written.
        path: path of the file.

    Returns:
        The file, memory-mapped and writable, shape (rows, d); shape (0, 0) if there are no rows.

    Raises:
        ValueError: the vectors differ in length.
    """
    parts = max(1, -(-rows.count() // ROWS_AT_A_TIME))
    ordered = rows.repartitionByRange(parts, *order).sortWithinPartitions(*order).select(column)
    widths = set()
    with path.open("wb") as stream:
        for block, width in ordered.mapInArrow(_pack, "block BINARY, width INT").toLocalIterator():
            stream.write(block)
            widths.add(width)
    if not widths:
        return np.empty((0, 0), np.float32)
    if len(widths) > 1:
        raise ValueError(f"column {column} holds vectors of {sorted(widths)} dimensions; they must be equal")
    return np.memmap(path, np.float32, "r+").reshape(-1, widths.pop())


def read_matrix(path: Path, dimension: int) -> NDArray[np.float32]:
    """The file of :func:`gather_matrix`, memory-mapped and read-only, shape (rows, dimension)."""
    return np.memmap(path, np.float32, "r").reshape(-1, dimension)
