"""The search index: vectors, codes, category and popularity of every item, which executors read memory-mapped."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.frame import Frame
from jobs.examples.negatives import popularity_in
from jobs.examples.pairs import triggers_of
from lake.indexing import with_row_number
from models.ranker.examples.negatives import drawing_weights
from models.ranker.examples.pool import PoolItems
from models.ranker.examples.pools import pools_of
from models.ranker.examples.search_index import pool_file
from models.ranker.examples.targets import FIRST, UNKNOWN
from schemas.names import SID_COLUMNS
from schemas.ranking_sections import ExamplesSettings
from udfs.arrays import column_matrix

log = logging.getLogger("qarm")

ITEM_IDS = "item_ids.parquet"
"""File of the ids of items with their own row in the ranker's item table, in the order of the rows."""

ITEM_ROWS = "item_rows.parquet"
"""File of the ids and codes of all items, in the order of ``item_row``; score finds the rows of candidates in it."""


def item_rows(
    items: DataFrame,
    embeddings: DataFrame,
    codes: DataFrame,
    positives: DataFrame,
    *,
    frame: Frame,
    before: DataFrame | None = None,
) -> DataFrame:
    """All embedded items with category, codes, neighbours and popularity, numbered by ``item_row``.

    ``popularity`` holds the number of positive events in each window of the frame, ``train_events`` their number in the
    train period. An item keeps its number as long as the search index is extended from night to night.

    Args:
        items: table ``items``.
        embeddings: table ``item_embeddings``.
        codes: table ``semantic_ids``.
        positives: positive events of the log.
        frame: what tonight's examples stand on.
        before: item_id and item_row of the night before; None if the items are numbered anew.
    """
    days = frame.windows
    known = positives.where(frame.periods.in_train).groupBy("item_id").agg(F.count("*").alias("train_events"))
    categories = items.where("category IS NOT NULL").select("item_id", F.xxhash64("category").alias("category"))
    rows = (
        embeddings.select("item_id", "search_embedding", "text_embedding")
        .join(categories, "item_id", "left")
        .join(codes.select("item_id", *SID_COLUMNS, "content_hash", "neighbours"), "item_id", "left")
        .join(known, "item_id", "left")
        .join(popularity_in(positives, days), "item_id", "left")
        .withColumn("popularity", F.coalesce("popularity", F.array_repeat(F.lit(0), len(days))))
        .fillna(0, ["train_events"])
    )
    if before is None:
        return with_row_number(rows, "item_row", "item_id")
    placed = rows.join(before.select("item_id", F.col("item_row").alias("_old")), "item_id", "left").persist()
    old, new = placed.where("_old IS NOT NULL"), placed.where("_old IS NULL")
    numbered = with_row_number(new, "_new", "item_id").withColumn("item_row", F.col("_new") + F.lit(before.count()))
    both = old.withColumn("item_row", F.col("_old")).unionByName(numbered.drop("_new"))
    return both.drop("_old").persist()


def nearest_rows(items: DataFrame, count: int, wanted: int) -> NDArray[np.int64]:
    """Numbers of the rows of each item's nearest items, nearest first. Driver memory: about 30 bytes per neighbour.

    Args:
        items: result of :func:`item_rows`.
        count: number of items.
        wanted: number of neighbours per item.

    Returns:
        Shape (count, wanted); -1 is padding.
    """
    asked = items.select("item_row", F.posexplode(F.slice("neighbours", 1, wanted)).alias("place", "item_id"))
    numbers = items.select("item_id", F.col("item_row").alias("near"))
    table = asked.join(numbers, "item_id", "inner").select("item_row", "place", "near").toArrow()
    near = np.full((count, wanted), -1, np.int64)
    near[table["item_row"].to_numpy(), table["place"].to_numpy()] = table["near"].to_numpy()
    return near


def content_numbers(items: DataFrame) -> NDArray[np.int64]:
    """Number of each item's content, from 0; an item without a known content counts as a content of its own.

    Driver memory: about 40 bytes per item.

    Args:
        items: result of :func:`item_rows`.

    Returns:
        Shape (items,).
    """
    content = F.xxhash64(F.coalesce("content_hash", "item_id")).alias("content")
    table = items.select("item_row", content).toArrow().sort_by("item_row")
    numbers: NDArray[np.int64] = np.unique(table["content"].to_numpy(), return_inverse=True)[1]
    return numbers


def known_neighbours(
    near: NDArray[np.int64], content: NDArray[np.int64], index: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Rows of the ranker's item table for each item's content and for the contents of its neighbours.

    A content has the row of its most popular item, so that a new item is read by a known item with similar content.

    Args:
        near: numbers of the rows of the nearest items, -1 for padding, shape (items, k).
        content: result of :func:`content_numbers`.
        index: result of :func:`item_index`, where popular items have small numbers, shape (items,).

    Returns:
        Shape (items, 1 + k); 0 if no item of the content has its own row.
    """
    best = np.full(content.max(initial=-1) + 1, np.iinfo(np.int32).max, np.int32)
    np.minimum.at(best, content, np.where(index >= FIRST, index, np.iinfo(np.int32).max))
    best[best == np.iinfo(np.int32).max] = 0
    own = best[content]
    both: NDArray[np.int32] = np.concatenate([own[:, None], np.where(near >= 0, own[near], 0)], axis=1)
    return both.astype(np.int32)


def item_index(
    train_events: NDArray[np.int64],
    min_item_events: int,
    hashes: NDArray[np.int64] | None,
    before: NDArray[np.int32] | None = None,
) -> NDArray[np.int32]:
    """Each item's row in the ranker's item table: 1 for items with too few events, 2 and higher for the others.

    Args:
        train_events: number of positive events of each item in the train period, shape (items,).
        min_item_events: number of events that an item needs for a row other than 1.
        hashes: hash of each item, from 0, shape (items,), if items share rows by hash; None if each has its own row.
        before: the rows of the first items on the night before, which they keep; None if all get new ones.
    """
    known = train_events >= min_item_events
    if before is not None and hashes is None:
        kept = np.pad(before, (0, len(known) - len(before)), constant_values=UNKNOWN)
        new = np.flatnonzero(known & (kept < FIRST))
        new = new[np.lexsort((new, -train_events[new]))]
        kept[new] = max(kept.max(initial=UNKNOWN), UNKNOWN) + 1 + np.arange(len(new))
        return kept
    index = np.empty(len(known), np.int32)
    if hashes is not None:
        index[:] = np.where(known, FIRST + hashes, UNKNOWN)
        return index
    # Sorted by popularity, so that frequently read rows of the table are near each other.
    order = np.lexsort((np.arange(len(known)), -train_events))
    index[order] = np.where(known[order], FIRST + np.arange(len(known)), UNKNOWN)
    return index


def write_search_index(
    rows: DataFrame,
    near: NDArray[np.int64],
    content: NDArray[np.int64],
    pairs: DataFrame,
    *,
    settings: ExamplesSettings,
    folder: Path,
    before: NDArray[np.int32] | None = None,
) -> dict[str, object]:
    """Writes the arrays of the search index, except behaviour vectors, in the order of ``item_row``.

    If items have their own rows in the ranker's item table, their ids are written too, as a warm start of a later
    ranker needs them.

    Driver memory: about three times ``search_dim * 8 + 12 * neighbours + 12 * windows + 64`` bytes plus the id, per
    item, and 60 bytes per pair; with the pool ``category`` 8 bytes more per item and window, with ``candidates`` 28
    bytes more per pair. The caller checks the number of items.

    Args:
        rows: result of :func:`item_rows`.
        near: result of :func:`nearest_rows`, with at least ``examples.neighbours`` columns.
        content: result of :func:`content_numbers`.
        pairs: result of :func:`jobs.examples.pairs.pair_rows`.
        settings: the ``[examples]`` section.
        folder: an empty local folder.
        before: rows of the items of the night before in the ranker's item table; None if all get new ones.

    Returns:
        ``items`` and ``codes``, sizes of the ranker's tables, and ``item_ids``, the setting of the same name.
    """
    hashed = settings.item_ids == "hashed"
    if hashed:
        rows = rows.withColumn("hash", F.pmod(F.xxhash64("item_id"), F.lit(settings.item_rows)))
    table = rows.drop("content_hash", "neighbours").toArrow().sort_by("item_row")
    hashes = table["hash"].to_numpy() if hashed else None
    index = item_index(table["train_events"].to_numpy(), settings.min_item_events, hashes, before)
    known = int((index >= FIRST).sum())
    if not hashed:
        order = np.argsort(index, kind="stable")[len(index) - known :]
        pq.write_table(table.select(["item_id"]).take(pa.array(order)), folder / ITEM_IDS)
    pq.write_table(table.select(["item_id", "item_row", *SID_COLUMNS]), folder / ITEM_ROWS)
    codes = np.stack([table[name].fill_null(-1).to_numpy() + 1 for name in SID_COLUMNS], axis=1).astype(np.int32)
    by_search, by_text = (column_matrix(table[name]) for name in ("search_embedding", "text_embedding"))
    np.save(folder / "search_embeddings.npy", by_search)
    # An empty array tells that both vectors are the same, so that they are searched only once.
    np.save(folder / "text_embeddings.npy", by_text[:0] if np.array_equal(by_search, by_text) else by_text)
    np.save(folder / "codes.npy", codes)
    np.save(folder / "item_index.npy", index)
    weights = drawing_weights(column_matrix(table["popularity"]), settings.negative_power)
    np.save(folder / "drawing.npy", np.cumsum(weights, axis=1))
    triggers, category = triggers_of(pairs, table.num_rows), table["category"].fill_null(0).to_numpy()
    of_pools = PoolItems(weights, category, triggers)
    for pool in pools_of(settings.negatives_from):
        for name, array in pool.prepare(of_pools).items():
            np.save(folder / pool_file(pool.name, name), array)
    np.save(folder / "pair_start.npy", triggers.start)
    np.save(folder / "pair_trigger.npy", triggers.rows)
    np.save(folder / "pair_score.npy", triggers.scores)
    np.save(folder / "neighbours.npy", known_neighbours(near[:, : settings.neighbours], content, index))
    np.save(folder / "category.npy", category)
    return {
        "items": FIRST + (settings.item_rows if hashed else known),
        "codes": [int(level) + 1 for level in codes.max(0)],
        "item_ids": settings.item_ids,
    }
