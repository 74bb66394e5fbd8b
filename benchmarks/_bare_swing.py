"""Swing in one process without Spark: pyarrow, numpy and the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.pairs.swing import SwingParameters, UserItems, swing
from schemas.sections import MineSettings


@dataclass(frozen=True)
class Histories:
    """Capped histories as item codes.

    Attributes:
        layout: input of the kernel.
        item_ids: item id of each item code.
    """

    layout: UserItems
    item_ids: pa.Array


def read_histories(files: Sequence[str], before: datetime, mine: MineSettings) -> Histories:
    """Reads the log's files and converts the train period to the kernel's input."""
    log = ds.dataset(list(files), format="parquet").to_table(["user_id", "item_id", "event_time"])
    times = log["event_time"].cast(pa.timestamp("us"))  # Spark writes them as INT96
    log = log.set_column(2, "event_time", times).filter(pc.less(times, pa.scalar(before, pa.timestamp("us"))))
    user, users = _numbers(log["user_id"])
    item, item_ids = _numbers(log["item_id"])
    time = log["event_time"].cast(pa.int64()).to_numpy()
    del log
    n_items = len(item_ids)
    # First keep the latest event of each user and item, then the latest items of each user.
    order = np.lexsort((time, user * n_items + item))
    key = (user * n_items + item)[order]
    last = order[np.append(key[1:] != key[:-1], True)]
    user, item, time = user[last], item[last], time[last]
    order = np.lexsort((-time, user))
    user, item = user[order], item[order]
    sizes = np.bincount(user, minlength=len(users))
    first = np.cumsum(sizes) - sizes
    kept = (np.arange(len(user)) - first[user] < mine.max_user_items) & (sizes[user] >= mine.min_user_items)
    user, item = user[kept], item[kept]
    sizes = np.bincount(user, minlength=len(users))
    popularity = np.bincount(item, minlength=n_items)
    layout = UserItems(
        start=np.append(0, np.cumsum(sizes)).astype(np.int64),
        items=item.astype(np.int32),
        is_trigger=_sample(user, item, popularity, mine.max_item_users),
        tie_break=pd.util.hash_array(np.arange(n_items)),
        popularity=np.maximum(popularity, 1),
        total_users=int((sizes > 0).sum()),
    )
    return Histories(layout, item_ids)


def score(histories: Histories, parameters: SwingParameters, threads: int) -> pa.Table:
    """Scores all items; with n threads, each thread scores every n-th item."""
    layout = histories.layout

    def part(k: int) -> pa.Table:
        mine = layout.is_trigger & (layout.items % threads == k)
        pairs = swing(UserItems(**{**vars(layout), "is_trigger": mine}), parameters)
        names = {
            "trigger_item_id": histories.item_ids.take(pa.array(pairs.trigger)),
            "target_item_id": histories.item_ids.take(pa.array(pairs.target)),
        }
        return pa.table({**names, "score": pairs.score, "support": pairs.support})

    with ThreadPoolExecutor(threads) as pool:
        return pa.concat_tables(pool.map(part, range(threads)))


def write(pairs: pa.Table, path: str) -> None:
    """Writes the pairs as Parquet."""
    pq.write_table(pairs, path)


def _numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def _sample(
    user: NDArray[np.int64], item: NDArray[np.int64], popularity: NDArray[np.int64], cap: int
) -> NDArray[np.bool_]:
    """Limits the users of a popular item to those with the smallest hashes."""
    chosen = np.ones(len(user), bool)
    hot = np.flatnonzero((popularity > cap)[item])
    hashed = pd.util.hash_array(user[hot] * len(popularity) + item[hot])
    order = hot[np.lexsort((hashed, item[hot]))]
    sizes = np.bincount(item[order], minlength=len(popularity))
    first = np.cumsum(sizes) - sizes
    chosen[order] = np.arange(len(order)) - first[item[order]] < cap
    return chosen
