"""Work on rows in blocks of one shape.

A matrix product of another shape may differ in its last bit, and a vector at the boundary of two codes with it: what a
row gets would depend on the rows that happen to come with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 1024


def same_blocks(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Blocks of 1024 rows, the last one padded with zeros; one block of zeros where there are no rows."""
    for start in range(0, max(len(rows), 1), ROWS):
        block = rows[start : start + ROWS]
        if len(block) < ROWS:
            block = np.concatenate([block, np.zeros((ROWS - len(block), *rows.shape[1:]), rows.dtype)])
        yield np.ascontiguousarray(block)
