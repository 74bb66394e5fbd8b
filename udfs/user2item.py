"""User-to-item pairs, on the executors: examples for the two-tower model, item vectors, and triggers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from models.pairs.nearest import carry_from, nearest_before, recent_before
from models.pairs.two_tower import TwoTower, load_two_tower
from udfs.arrays import column_matrix, list_column
from udfs.batches import Batches
from udfs.workers import shipped, use_task_cores

EXAMPLE_SCHEMA = "item INT, recent ARRAY<INT>"
VECTOR_SCHEMA = "item INT, content INT, vector ARRAY<FLOAT>"
TRIGGER_SCHEMA = "trigger INT, target INT, similarity FLOAT"


def recent_items(length: int) -> Batches:
    """Makes the function for ``mapInArrow`` that finds the user's last positives before each wanted event.

    The input has one row per positive event, sorted by user and time: ``user``, ``time``, ``item``, ``wanted``. Events
    without earlier positives give no row. Memory: one batch, and the last events of one user.

    Args:
        length: number of last positives.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows, first in _with_history(batches, length):
            users, times, items = (rows[name].to_numpy() for name in ("user", "time", "item"))
            recent = recent_before(users, times, items, length, first)
            chosen = rows["wanted"].to_numpy()[first:] & (recent[:, 0] >= 0)
            columns = {"item": pa.array(items[first:][chosen]), "recent": list_column(recent[chosen])}
            yield pa.RecordBatch.from_pydict(columns)

    return run


def item_vectors(artifact: str) -> Batches:
    """Makes the function for ``mapInArrow`` that gives the vectors of items (``item``, ``content``, ``features``).

    Memory: one model per worker, and one batch.

    Args:
        artifact: the shipped two-tower model.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        model = _two_tower(shipped(artifact))
        for batch in batches:
            items = torch.from_numpy(batch["item"].to_numpy().copy())
            features = torch.from_numpy(column_matrix(batch["features"]).copy())
            with torch.inference_mode():
                exact = model.item_vectors(items, features).numpy()
            # Rounded, as the last bits depend on the other rows of the batch and would decide near ties of triggers.
            vectors = exact.round(6).astype(np.float32)
            columns = {"item": batch["item"], "content": batch["content"], "vector": list_column(vectors)}
            yield pa.RecordBatch.from_pydict(columns)

    return run


@cache
def _two_tower(folder: Path) -> TwoTower:
    return load_two_tower(folder).double()


def nearest_triggers(window: int) -> Batches:
    """Makes the function for ``mapInArrow`` that finds the trigger of each positive event.

    The input has one row per positive event, sorted by user and time: ``user``, ``time``, ``item``, ``content``,
    ``vector``. Memory: one batch, and the last events of one user.

    Args:
        window: number of last positives among which the trigger is found.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows, first in _with_history(batches, window):
            users, times, items, contents = (rows[name].to_numpy() for name in ("user", "time", "item", "content"))
            vectors = column_matrix(rows["vector"])
            place, similarity = nearest_before(users, times, items, contents, vectors, window, first)
            has_one = place >= 0
            columns = {
                "trigger": pa.array(items[place[has_one]]),
                "target": pa.array(items[first:][has_one]),
                "similarity": pa.array(similarity[has_one]),
            }
            yield pa.RecordBatch.from_pydict(columns)

    return run


def _with_history(batches: Iterable[pa.RecordBatch], window: int) -> Iterator[tuple[pa.Table, int]]:
    """Yields each batch after the earlier rows that its histories need, and the position at which the batch begins."""
    carried: pa.Table | None = None
    for batch in batches:
        if batch.num_rows == 0:
            continue
        rows = pa.Table.from_batches([batch])
        first = carried.num_rows if carried is not None else 0
        if carried is not None:
            rows = pa.concat_tables([carried, rows])
        rows = rows.combine_chunks()
        yield rows, first
        carried = rows.slice(carry_from(rows["user"].to_numpy(), rows["time"].to_numpy(), window))
