"""Features of the target's item and time, and the length of the history."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.registry import feature

SECOND = 1_000_000
"""Microseconds."""


@feature
def item_index(of: Context) -> NDArray[np.int32]:
    """Row of the target in the ranker's item table."""
    return of.index.item_index[of.targets.rows]


@feature
def sid_1(of: Context) -> NDArray[np.int32]:
    """First semantic-ID code of the target + 1; 0 for none."""
    return of.index.codes[of.targets.rows, 0]


@feature
def sid_2(of: Context) -> NDArray[np.int32]:
    """Second semantic-ID code of the target + 1; 0 for none."""
    return of.index.codes[of.targets.rows, 1]


@feature
def sid_3(of: Context) -> NDArray[np.int32]:
    """Third semantic-ID code of the target + 1; 0 for none."""
    return of.index.codes[of.targets.rows, 2]


@feature
def neighbour_item(of: Context) -> NDArray[np.int32]:
    """Rows of the ranker's item table for the target's content and its nearest items."""
    return of.index.neighbours[of.targets.rows]


@feature
def text_row(of: Context) -> NDArray[np.int32]:
    """Row of the target in the search index + 1."""
    return (of.targets.rows + 1).astype(np.int32)


@feature
def hour(of: Context) -> NDArray[np.int32]:
    """Hour of the target's time, UTC."""
    return (of.targets.times // SECOND // 3600 % 24).astype(np.int32)


@feature
def weekday(of: Context) -> NDArray[np.int32]:
    """Weekday of the target's time, UTC, 0 = Monday."""
    return ((of.targets.times // SECOND // 86_400 + 3) % 7).astype(np.int32)  # 1 January 1970 was a Thursday


@feature
def history_length(of: Context) -> NDArray[np.int32]:
    """Number of the user's positive events before the target."""
    return of.visible.astype(np.int32)
