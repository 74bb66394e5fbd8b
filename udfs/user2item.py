"""User-to-item pairs on the executors: examples for the two-tower model, its item vectors, the triggers."""

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
    """Makes the function for ``mapInArrow`` that gives wanted events the user's last positives before them.

    Its input has one row per positive event, by user and time: ``user``, ``time``, ``item``, ``wanted``. Events without
    a history give no row. Memory: one batch, and the last events of one user.

    Args:
        length: positives looked back on.
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
    """Makes the function for ``mapInArrow`` that gives items (``item``, ``content``, ``features``) their vectors.

    Memory: the model, once a worker, and one batch.

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
            # The last bits depend on who else is in the batch, and with them near ties between triggers.
            vectors = exact.round(6).astype(np.float32)
            columns = {"item": batch["item"], "content": batch["content"], "vector": list_column(vectors)}
            yield pa.RecordBatch.from_pydict(columns)

    return run


@cache
def _two_tower(folder: Path) -> TwoTower:
    return load_two_tower(folder).double()


def nearest_triggers(window: int) -> Batches:
    """Makes the function for ``mapInArrow`` that finds each positive's trigger.

    Its input has one row per positive event, by user and time: ``user``, ``time``, ``item``, ``content``, ``vector``.
    Memory: one batch, and the last events of one user.

    Args:
        window: positives looked back on.
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
    """Each batch with what of the batches before may be its history, and where the batch itself begins."""
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
