"""Makes the retriever's training rows from users' events, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from models.retriever.histories import HistoryShape, UserHistories
from models.retriever.moments import MomentParameters, moments_of, rows_of
from udfs.arrays import feature_column
from udfs.batches import Batches
from udfs.examples import users_of

BATCH_ROWS = 1024
"""Rows after which a batch is handed over."""


def moment_schema(shape: HistoryShape) -> str:
    """Schema of :func:`build_moments`: hash of user and time, hash of the user, seconds since 1970, and arrays."""
    kinds = {"code": "INT", "age": "FLOAT", "count": "INT", "action": "INT"}
    fields = [f"{name}_{field} ARRAY<{kind}>" for name in shape.lengths for field, kind in kinds.items()]
    masses = [f"taken_mass_{i} ARRAY<FLOAT>" for i in range(len(shape.half_lives))]
    return ", ".join(["key LONG", "user LONG", "time LONG", *fields, *masses, "target_code ARRAY<INT>"])


def build_moments(shape: HistoryShape, parameters: MomentParameters) -> Batches:
    """Makes the function for ``mapInArrow`` that makes a row for each moment; partitions are sorted by user and time.

    The input has one row per positive event: ``user_id``, ``part`` (0), ``key`` (hash of the user), ``time`` (seconds
    since 1970), ``code`` and ``action``. A partition holds all events of a user. Memory: the events of one user,
    :data:`models.retriever.moments.BLOCK_EVENTS` events of histories, and :data:`BATCH_ROWS` rows.

    Args:
        shape: lengths of the histories' arrays.
        parameters: which moments are made.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: list[dict[str, Any]] = []
        count = 0
        for rows in users_of(batches):
            for made in _of_user(rows, shape, parameters):
                held.append(made)
                count += len(made["key"])
                if count >= BATCH_ROWS:
                    yield _to_arrow(held)
                    held, count = [], 0
        if held:
            yield _to_arrow(held)

    return run


def _of_user(rows: pa.Table, shape: HistoryShape, parameters: MomentParameters) -> Iterator[dict[str, Any]]:
    time, code = rows["time"].to_numpy(), rows["code"].to_numpy().astype(np.int32)
    key = int(rows["key"].to_numpy().view(np.uint64)[0])
    moments = moments_of(key, time, code, parameters)
    if not len(moments.first):
        return
    after = np.array([time[-1] + 1])
    action = rows["action"].to_numpy().astype(np.int8)
    events = UserHistories.of(np.zeros(len(time), np.int64), code, time, action, now=after)
    done = 0
    for made in rows_of(events, moments, shape, parameters.history_events):
        count = len(made["target_code"])
        moment = time[moments.first[done : done + count]]
        user = np.full(count, key, np.uint64)
        made |= {"key": (user ^ moment.astype(np.uint64)).view(np.int64), "user": user.view(np.int64), "time": moment}
        done += count
        yield made


def _to_arrow(held: list[dict[str, Any]]) -> pa.RecordBatch:
    names = ("key", "user", "time", *(name for name in held[0] if name not in {"key", "user", "time"}))
    columns = {name: np.concatenate([made[name] for made in held]) for name in names}
    return pa.RecordBatch.from_pydict({name: feature_column(values) for name, values in columns.items()})
