"""Divides rows into blocks of one fixed shape.

The last bit of a matrix product may depend on the matrix's shape, which can change the code of a vector that lies on
the boundary of two codes. With blocks of one shape, a row's result does not depend on the other rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 1024


def same_blocks(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Blocks of 1024 rows, the last one padded with zeros; without rows, one block of zeros."""
    for start in range(0, max(len(rows), 1), ROWS):
        block = rows[start : start + ROWS]
        if len(block) < ROWS:
            block = np.concatenate([block, np.zeros((ROWS - len(block), *rows.shape[1:]), rows.dtype)])
        yield np.ascontiguousarray(block)
