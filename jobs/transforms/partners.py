"""Titles of the contents that a content is bought with."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def with_partners(contents: DataFrame, pairs: DataFrame, most: int) -> DataFrame:
    """Adds ``partners``: titles of the best accepted partners of each content, best first.

    Args:
        contents: content_hash and the fields of the content.
        pairs: accepted pairs of contents: trigger, target, place (rank of the target among the trigger's targets).
        most: most partners of a content.
    """
    best = Window.partitionBy("trigger").orderBy("place", "target")
    named = pairs.withColumn("rank", F.row_number().over(best)).where(F.col("rank") <= most)
    titles = contents.select(F.col("content_hash").alias("target"), F.coalesce("title", "category").alias("name"))
    lists = (
        named.join(titles, "target", "inner")
        .groupBy(F.col("trigger").alias("content_hash"))
        .agg(F.array_sort(F.collect_list(F.struct("rank", "name"))).alias("ranked"))
        .select("content_hash", F.array_compact(F.col("ranked.name")).alias("partners"))
    )
    return contents.join(lists, "content_hash", "left")
