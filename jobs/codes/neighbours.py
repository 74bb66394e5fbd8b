"""Finds the nearest other contents of every content (QARM V1's VQ code)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.frames import frame_of
from lake.run import Run
from models.quantize.neighbours import nearest_others, read_index, write_index
from udfs.codes import NEIGHBOURS_SCHEMA, neighbours
from udfs.matrix import gather_matrix

RECALL_SAMPLE = 256


def nearest_items(run: Run, contents: DataFrame, *, count: int, dimension: int, folder: Path) -> DataFrame:
    """The neighbours of every content, as item ids.

    The search is exact up to ``codebook.neighbours_exact`` contents and uses an index above; with more than
    ``codebook.neighbours_limit`` contents there are no neighbours. Executor memory: the embeddings and the index,
    memory-mapped, one copy per host. Driver memory: the index, which holds the embeddings once.

    Args:
        run: the run.
        contents: content_hash, item_id, embedding, position.
        count: number of contents.
        dimension: dimension of the embeddings.
        folder: an empty local folder, which must exist as long as the result is used.

    Returns:
        content_hash, neighbours ARRAY<STRING>.
    """
    settings = run.settings.codebook
    left_out = count if count > settings.neighbours_limit else 0
    run.measure("codes.without_neighbours", left_out)
    if left_out or count == 0:
        return frame_of(run.spark, [], "content_hash STRING, neighbours ARRAY<STRING>")
    path = folder / f"embeddings-{run.run_id}.f32"
    matrix = gather_matrix(contents, "embedding", ["position"], path)
    run.spark.sparkContext.addFile(str(path))
    index = ""
    if count > settings.neighbours_exact:
        place = folder / f"index-{run.run_id}.faiss"
        write_index(matrix, settings.neighbours_index, place)
        run.spark.sparkContext.addFile(str(place))
        index = place.name
        run.measure("codes.neighbours_recall", _recall(matrix, place, settings.neighbours))
    positions = contents.select("content_hash", "position").mapInArrow(
        neighbours(path.name, dimension, settings.neighbours, index), NEIGHBOURS_SCHEMA
    )
    names = contents.select(F.col("position").alias("near"), F.col("item_id").alias("neighbour"))
    return (
        positions.select("content_hash", F.posexplode("neighbours").alias("place", "near"))
        .join(names, "near", "inner")
        .groupBy("content_hash")
        .agg(F.sort_array(F.collect_list(F.struct("place", "neighbour"))).alias("ordered"))
        .select("content_hash", F.col("ordered.neighbour").alias("neighbours"))
        .persist()
    )


def _recall(matrix: NDArray[np.float32], index: Path, k: int) -> float:
    """Share of the exact neighbours that the index finds, measured on a sample."""
    own = np.linspace(0, len(matrix) - 1, RECALL_SAMPLE).astype(np.int64)
    queries = np.ascontiguousarray(matrix[own])
    exact, found = nearest_others(queries, matrix, own, k), nearest_others(queries, read_index(index), own, k)
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]))
