"""Counts the popularity of targets on the executors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.ranker.examples.popularity import counts_before

EVENT_COLUMNS, ASKED_COLUMNS = ("_user", "_item", "_sid", "_day"), ("_item", "_sid", "_day")
"""Columns that :func:`count_before` reads of events and of targets."""


def count_before(kept: Sequence[str]) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """Makes the function for a cogroup of events and targets: it adds :data:`schemas.features.COUNTED` to the targets.

    Args:
        kept: columns of the targets that the output holds too.
    """

    def run(events: pa.Table, asked: pa.Table) -> pa.Table:
        found = counts_before(_numbers(events, EVENT_COLUMNS), _numbers(asked, ASKED_COLUMNS))
        columns = [*(asked.column(name) for name in kept), *(pa.array(values) for values in found.values())]
        return pa.Table.from_arrays(columns, [*kept, *found])

    return run


def _numbers(table: pa.Table, columns: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    return {name.lstrip("_"): table.column(name).to_numpy().astype(np.int64) for name in columns}
