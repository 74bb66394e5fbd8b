"""Swing over one bucket of trigger items."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from qarm.models.pairs.swing import SwingParameters, swing

SWING_SCHEMA = "trigger_item_id STRING, target_item_id STRING, score DOUBLE, support LONG"


def swing_bucket(parameters: SwingParameters) -> Callable[[pa.Table], pa.Table]:
    """Makes the function for ``groupBy(bucket).applyInArrow``.

    Its input has one row per user of the bucket: ``user_id``, ``items`` (all of the user's items) and ``triggers``
    (those of them that this bucket scores and for which the user is in the item's sample). Memory: the bucket's rows,
    as 4-byte codes.

    Args:
        parameters: Swing's constants.
    """

    def score(bucket: pa.Table) -> pa.Table:
        bucket = bucket.sort_by("user_id").combine_chunks()
        items, user_start = _flat(bucket["items"])
        triggers, held_start = _flat(bucket["triggers"])
        names, codes = np.unique(np.asarray(items.to_numpy(zero_copy_only=False), dtype=object), return_inverse=True)
        codes = codes.astype(np.int32)
        for user in range(bucket.num_rows):
            codes[user_start[user] : user_start[user + 1]].sort()
        trigger_codes = (
            pc.index_in(triggers, pa.array(names, pa.string())).to_numpy(zero_copy_only=False).astype(np.int32)
        )
        users = np.repeat(np.arange(bucket.num_rows, dtype=np.int32), np.diff(held_start))
        order = np.lexsort((users, trigger_codes))
        trigger_items, first = np.unique(trigger_codes[order], return_index=True)
        pairs = swing(
            user_start,
            codes,
            trigger_items,
            np.append(first, len(order)).astype(np.int64),
            users[order],
            pd.util.hash_array(names),
            parameters,
        )
        return pa.table(
            {
                "trigger_item_id": pa.array(names, pa.string()).take(pa.array(pairs.trigger)),
                "target_item_id": pa.array(names, pa.string()).take(pa.array(pairs.target)),
                "score": pairs.score,
                "support": pairs.support,
            }
        )

    return score


def _flat(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    lists = column.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.chunk(0)
    return lists.flatten(), lists.offsets.to_numpy().astype(np.int64) - lists.offsets[0].as_py()
