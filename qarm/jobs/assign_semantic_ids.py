"""Assigns a semantic ID to every item that is new or changed, and measures how good the codes are."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from qarm.lake.artifacts import Artifact
from qarm.lake.command import main
from qarm.lake.indexing import with_row_number
from qarm.lake.job import Job, Run
from qarm.models.quantize.codebook import Codebook
from qarm.models.quantize.quality import collision_numbers, entropy, hit_rates
from qarm.schemas.tables import ITEM_EMBEDDINGS, SEMANTIC_IDS
from qarm.udfs.arrays import column_matrix
from qarm.udfs.codes import CODES_SCHEMA, NEIGHBOURS_SCHEMA, assign, neighbours

CODES = ["sid_1", "sid_2", "sid_3"]
COMPARED = ["sid", "neighbours", "reconstruction_error", "encoder_version", "codebook_version"]


def distinct_embeddings(embeddings: DataFrame) -> DataFrame:
    """One row per content: content_hash, its embedding and the item that stands for it (the smallest id)."""
    return embeddings.groupBy("content_hash").agg(
        F.min("item_id").alias("item_id"), F.min_by("embedding", "item_id").alias("embedding")
    )


def semantic_ids(embeddings: DataFrame, codes: DataFrame, near: DataFrame, codebook: str, now: datetime) -> DataFrame:
    """Rows of ``semantic_ids``: every item with its content's codes and neighbours."""
    return (
        embeddings.select("item_id", "content_hash", "encoder_version")
        .join(codes, "content_hash", "inner")
        .join(near, "content_hash", "left")
        .select(
            "item_id",
            *CODES,
            F.concat_ws("-", *CODES).alias("sid"),
            "neighbours",
            "reconstruction_error",
            "encoder_version",
            F.lit(codebook).alias("codebook_version"),
            F.lit(now).alias("assigned_at"),
        )
    )


def keep_assignment_times(rows: DataFrame, standing: DataFrame) -> DataFrame:
    """Where an item's codes are as they were, so is the time they were assigned."""
    old = standing.select("item_id", "sid", "codebook_version", F.col("assigned_at").alias("before"))
    return rows.join(old, ["item_id", "sid", "codebook_version"], "left").withColumn(
        "assigned_at", F.coalesce("before", "assigned_at")
    )


def steps(run: Run) -> None:
    """Assigns distinct contents, finds their neighbours, merges what differs, measures.

    Executor memory: the codebook, and the contents' embeddings memory-mapped once a host. Driver memory: the contents'
    embeddings, at most ``codebook.neighbours_limit`` of them, and ``codebook.quality_sample`` of them.
    """
    settings = run.settings.codebook
    codebook = run.use("codebook", "fit_codebook")
    embeddings = run.read(ITEM_EMBEDDINGS.name).where(F.col("encoder_version") == codebook.card["recipe"]["encoder"])
    contents = with_row_number(distinct_embeddings(embeddings), "position", "content_hash")
    shipped = run.lake.artifacts.ship(codebook)
    codes = contents.select("content_hash", "embedding").mapInArrow(assign(shipped), CODES_SCHEMA).persist()
    with run.step("assign codes"):
        count = codes.count()
    with tempfile.TemporaryDirectory(prefix="qarm-neighbours-") as folder:
        with run.step("find neighbours"):
            near = nearest_items(run, contents, count, Path(folder))
        rows = semantic_ids(embeddings, codes, near, codebook.version, run.started_at)
        if run.lake.warehouse.exists(SEMANTIC_IDS.name):
            rows = keep_assignment_times(rows, run.lake.warehouse.read(SEMANTIC_IDS.name))
        with run.step("write semantic_ids"):
            run.merge(SEMANTIC_IDS, rows, compare=COMPARED)
    with run.step("measure the codes"):
        measure_codes(run, run.lake.warehouse.read(SEMANTIC_IDS.name), codes, codebook)
        measure_hits(run, contents, codebook, settings.quality_sample)
    for frame in (codes, contents):
        frame.unpersist()


def nearest_items(run: Run, contents: DataFrame, count: int, folder: Path) -> DataFrame:
    """Neighbours of every content as item ids; no rows where there are more contents than the exact search takes.

    Args:
        run: the run.
        contents: content_hash, item_id, embedding, position.
        count: of the contents.
        folder: an empty local folder that outlives the result's use.

    Returns:
        content_hash, neighbours ARRAY<STRING>.
    """
    settings = run.settings.codebook
    if count > settings.neighbours_limit:
        run.measure("codes.without_neighbours", count)
        return run.spark.createDataFrame([], "content_hash STRING, neighbours ARRAY<STRING>")
    run.measure("codes.without_neighbours", 0)
    table = contents.select("position", "item_id", "embedding").toArrow().sort_by("position")
    matrix = folder / f"embeddings-{run.run_id}.npy"
    np.save(matrix, column_matrix(table["embedding"]))
    run.spark.sparkContext.addFile(str(matrix))
    positions = contents.select("content_hash", "position").mapInArrow(
        neighbours(matrix.name, settings.neighbours), NEIGHBOURS_SCHEMA
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


def measure_codes(run: Run, assigned: DataFrame, codes: DataFrame, codebook: Artifact) -> None:
    """Collisions over items and over distinct contents, use and entropy of each level, reconstruction error."""
    current = assigned.where(F.col("codebook_version") == codebook.version)
    for name, rows in (("items", current), ("distinct_contents", codes)):
        sizes = rows.groupBy(*CODES).count().groupBy("count").agg(F.count("*").alias("sids")).collect()
        numbers = collision_numbers(np.array([r["count"] for r in sizes]), np.array([r["sids"] for r in sizes]))
        for metric, value in numbers.items():
            run.measure(f"codes.{metric}", value, name)
    mean_error = codes.agg(F.avg("reconstruction_error")).collect()[0][0]
    run.measure("codes.reconstruction_error", mean_error, "distinct_contents")
    for level, size in zip(CODES, codebook.card["sizes"], strict=True):
        # Bounded by the codebook's size, a setting, not by the items.
        counts = np.array([row["count"] for row in codes.groupBy(level).count().collect()])
        run.measure("codes.used", len(counts), level)
        run.measure("codes.used_share", len(counts) / size, level)
        run.measure("codes.entropy_bits", entropy(counts), level)


def measure_hits(run: Run, contents: DataFrame, codebook: Artifact, most: int) -> None:
    """HR@1 and HR@10 of codes on a sample of contents."""
    sample = contents.select("content_hash", "embedding").orderBy("content_hash").limit(most)
    embeddings = column_matrix(sample.select("embedding").toArrow()["embedding"])
    book = Codebook.load(run.lake.artifacts.fetch(codebook))
    rates = hit_rates(embeddings, book.reconstruct(book.assign(embeddings)), (1, 10))
    for k, rate in rates.items():
        run.measure(f"codes.hr@{k}", rate, "distinct_contents")


JOB = Job("assign_semantic_ids", steps, sections=("codebook",), reads=("item_embeddings",), uses=("codebook",))

if __name__ == "__main__":
    raise SystemExit(main(JOB))
