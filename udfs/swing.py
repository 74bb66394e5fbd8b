"""Runs Swing on a bucket of trigger items, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from models.pairs.swing import SwingParameters, UserItems, swing
from udfs.batches import Batches

SWING_SCHEMA = "trigger INT, target INT, score DOUBLE, support LONG"
ROWS_OUT = 100_000


def swing_bucket(parameters: SwingParameters, total_users: int, buckets: int) -> Batches:
    """Makes the function for ``mapInArrow`` that scores pairs; each partition holds one bucket.

    The input has one row per user of the bucket: ``bucket``, ``user``, ``items`` (all items of the user; the bitwise
    complement of an item that is not scored on this user), ``popularity``, and optionally ``contents`` and ``decay``.
    The triggers of a bucket are the items whose number modulo ``buckets`` is the number of the bucket. Memory: the
    bucket's rows, about 60 bytes per item occurrence, and 8 bytes per item of the log.

    Args:
        parameters: parameters of Swing.
        total_users: number of users of the whole log.
        buckets: number of buckets.
    """

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = [batch for batch in batches if batch.num_rows]
        if not rows:
            return
        bucket = pa.Table.from_batches(rows).combine_chunks()
        layout, codes = bucket_layout(bucket, total_users, buckets)
        pairs = swing(layout, parameters)
        found = pa.table(
            {
                "trigger": codes[pairs.trigger],
                "target": codes[pairs.target],
                "score": pairs.score,
                "support": pairs.support,
            }
        )
        yield from found.to_batches(ROWS_OUT)

    return score


def bucket_layout(bucket: pa.Table, total_users: int, buckets: int) -> tuple[UserItems, NDArray[np.int32]]:
    """The kernel's layout of one bucket. Users are sorted by key, so that results do not depend on the order of rows.

    Returns:
        The layout, in which items have codes of this bucket; the item number of each code, shape (items,).
    """
    bucket = bucket.sort_by("user").combine_chunks()
    names = {"items", "popularity", "contents", "decay"} & set(bucket.column_names)
    lists = {name: bucket[name].chunk(0) for name in names}
    start = lists["items"].offsets.to_numpy().astype(np.int64)
    flat = {name: column.flatten().to_numpy(zero_copy_only=False) for name, column in lists.items()}
    numbers = np.where(flat["items"] < 0, ~flat["items"], flat["items"])
    # Item numbers are dense, so a lookup table is much faster than the sort of np.unique.
    place = np.full(numbers.max() + 1, -1, np.int64)
    place[numbers] = np.arange(len(numbers))
    codes = np.flatnonzero(place >= 0).astype(np.int32)
    some = place[codes]
    place[codes] = np.arange(len(codes))
    layout = UserItems(
        start=start - start[0],
        items=place[numbers].astype(np.int32),
        is_trigger=(flat["items"] >= 0) & (numbers % buckets == bucket["bucket"][0].as_py()),
        tie_break=pd.util.hash_array(codes),
        popularity=flat["popularity"][some].astype(np.int64),
        total_users=total_users,
        contents=flat["contents"][some] if "contents" in flat else None,
        decay=flat.get("decay"),
    )
    return layout, codes
