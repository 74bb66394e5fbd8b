"""Retrieves candidates of users, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.retriever.background import Asked
from models.retriever.histories import UserHistories
from models.retriever.retrieval import Ranked, Retrieval
from udfs.batches import Batches
from udfs.workers import shipped, use_task_cores

USERS = "users.parquet"
"""File of the reference users' hashes, in the order of their places."""
SCHEMA = "user_id STRING, item INT, source STRING, rank INT, score DOUBLE"
ROWS = 200_000
"""Events that are read before their users' candidates are sought; the last user's may go on."""


@cache
def load_retrieval(folder: Path) -> tuple[Retrieval, NDArray[np.int64]]:
    """The saved retrieval and the hashes of its reference users; it is loaded once per Python worker."""
    users = pq.read_table(folder / USERS)["user"].to_numpy()
    return Retrieval.load(folder), users


def retrieve(artifact: str, moment: int, *, fused_name: str, written: int, fused: int) -> Batches:
    """Makes the function for ``mapInArrow`` that retrieves.

    The input has one row per event: ``user_id``, ``user`` (hash of the id), ``item`` (number), ``time`` (seconds),
    ``action`` (number); the rows of a user are adjacent. Memory: the retrieval, :data:`ROWS` events, and a batch of
    users as :class:`models.retriever.pool.Pool` says.

    Args:
        artifact: the shipped retrieval.
        moment: seconds since 1970 for which candidates are sought.
        fused_name: source of the rows of the fused list.
        written: most rows of each source and user.
        fused: most rows of the fused list of a user.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        retrieval, reference = load_retrieval(shipped(artifact))
        for events in whole_users(batches, ROWS):
            ids, asked = _asked(events, reference, moment)
            for users, lists in retrieval.lists(asked, written=written, fused=fused):
                for source, rows in lists.items():
                    yield _rows(ids.take(pa.array(users)), source or fused_name, rows)

    return run


def whole_users(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Joins batches into tables of at least ``rows`` rows, except the last, none of which splits a user.

    Args:
        batches: rows with ``user_id``; those of a user are adjacent.
        rows: least number of rows.
    """
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
        if sum(own.num_rows for own in held) < rows:
            continue
        table = pa.Table.from_batches(held).combine_chunks()
        ids = table["user_id"].combine_chunks()
        last = int(pa.compute.index(ids, ids[-1]).as_py())
        if last:
            yield table.slice(0, last)
        held = table.slice(last).to_batches()
    if held:
        yield pa.Table.from_batches(held).combine_chunks()


def _asked(events: pa.Table, reference: NDArray[np.int64], moment: int) -> tuple[pa.Array, Asked]:
    coded = events["user_id"].combine_chunks().dictionary_encode()
    user = coded.indices.to_numpy().astype(np.int64)
    item, time, action, key = (events[name].to_numpy() for name in ("item", "time", "action", "user"))
    now = np.full(len(coded.dictionary), moment, np.int64)
    hashes = np.zeros(len(now), np.int64)
    hashes[user] = key
    place = np.minimum(np.searchsorted(reference, hashes), max(len(reference) - 1, 0))
    itself = np.where(reference[place] == hashes, place, -1) if len(reference) else np.full(len(now), -1)
    return coded.dictionary, Asked(UserHistories.of(user, item, time, action, now=now), itself)


def _rows(ids: pa.Array, source: str, rows: Ranked) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "user_id": ids.take(pa.array(rows.user)),
            "item": pa.array(rows.item.astype(np.int32)),
            "source": pa.array([source] * len(rows.user), pa.string()),
            "rank": pa.array(rows.rank.astype(np.int32)),
            "score": pa.array(rows.score),
        }
    )
