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


def same_blocks(rows: NDArray[Any], size: int = ROWS) -> Iterator[NDArray[Any]]:
    """Blocks of ``size`` rows, the last one padded with zeros; without rows, one block of zeros.

    Args:
        rows: shape (n, ...).
        size: rows of a block.
    """
    for start in range(0, max(len(rows), 1), size):
        block = rows[start : start + size]
        if len(block) < size:
            block = np.concatenate([block, np.zeros((size - len(block), *rows.shape[1:]), rows.dtype)])
        yield np.ascontiguousarray(block)
