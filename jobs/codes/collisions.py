"""Resolves collisions, contents with the same SID. Codes that were already published do not change."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from schemas.codebook_sections import CodebookSettings
from udfs.codes import MOVED_SCHEMA, move_surplus

COLUMNS = ("content_hash", "codes", "suffix", "reconstruction_error")


def resolved(
    assigned: DataFrame,
    published: DataFrame | None,
    embeddings: DataFrame,
    *,
    codebook: str,
    levels: int,
    settings: CodebookSettings,
) -> DataFrame:
    """The final codes of newly assigned contents.

    Executor memory: windows of Spark; with ``next_best``, the embeddings of the contents of one prefix that have to
    change, and their distances to all last codes.

    Args:
        assigned: content_hash, codes, reconstruction_error, distance, as assigned by the codebook.
        published: content_hash, codes and suffix of contents with published codes; None if there are none.
        embeddings: content_hash and embedding of the assigned contents.
        codebook: the shipped codebook.
        levels: number of codes per content.
        settings: holds ``collisions`` and ``contents_per_sid``.

    Returns:
        content_hash, codes, suffix, reconstruction_error.
    """
    if settings.collisions == "suffix":
        return with_suffix(assigned, published)
    if settings.collisions == "next_best":
        return next_best(
            assigned, published, embeddings, codebook=codebook, levels=levels, cap=settings.contents_per_sid
        )
    return assigned.withColumn("suffix", F.lit(None).cast("int")).select(*COLUMNS)


def with_suffix(assigned: DataFrame, published: DataFrame | None) -> DataFrame:
    """Gives every content of a SID, except the first, a suffix 1, 2, … in the order of a hash, after published ones."""
    place = F.row_number().over(Window.partitionBy("codes").orderBy(F.xxhash64("content_hash"), "content_hash"))
    numbered = assigned.withColumn("place", place)
    if published is None:
        suffix: Column = F.col("place") - 1
    else:
        highest = published.groupBy("codes").agg(F.max(F.coalesce("suffix", F.lit(0))).alias("highest"))
        numbered = numbered.join(highest, "codes", "left")
        suffix = F.col("place") + F.coalesce("highest", F.lit(-1))
    return numbered.withColumn("suffix", F.nullif(suffix, F.lit(0)).cast("int")).select(*COLUMNS)


def next_best(
    assigned: DataFrame, published: DataFrame | None, embeddings: DataFrame, *, codebook: str, levels: int, cap: int
) -> DataFrame:
    """Moves contents beyond the cap of their SID to the nearest last code with room; the nearest contents stay."""
    nearest = Window.partitionBy("codes").orderBy("distance", F.xxhash64("content_hash"), "content_hash")
    placed = assigned.withColumn("place", F.row_number().over(nearest))
    if published is None:
        placed = placed.withColumn("held", F.lit(0))
    else:
        held = published.groupBy("codes").agg(F.count("*").alias("held"))
        placed = placed.join(held, "codes", "left").withColumn("held", F.coalesce("held", F.lit(0)))
    placed = placed.withColumn("surplus", F.col("place") + F.col("held") > cap).persist()
    stays = placed.where("NOT surplus").select("content_hash", "codes", "reconstruction_error")
    surplus = placed.where("surplus").join(embeddings, "content_hash", "inner")
    prefix = F.concat_ws("-", F.slice("codes", 1, levels - 1).cast("array<string>"))
    known = stays.select("codes") if published is None else stays.select("codes").unionByName(published.select("codes"))
    load = (
        known.select(prefix.alias("prefix"), F.get("codes", F.lit(levels - 1)).alias("last"))
        .groupBy("prefix", "last")
        .agg(F.count("*").alias("held"))
    )
    moved = (
        surplus.select(prefix.alias("prefix"), "content_hash", "codes", "embedding")
        .groupBy("prefix")
        .cogroup(load.groupBy("prefix"))
        .applyInArrow(move_surplus(codebook, cap), MOVED_SCHEMA)
    )
    return stays.unionByName(moved).withColumn("suffix", F.lit(None).cast("int")).select(*COLUMNS)
