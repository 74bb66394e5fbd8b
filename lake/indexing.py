"""Numbers the rows of a DataFrame consecutively without moving them to one partition."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

ROWS_PER_PARTITION = 33  # bits of monotonically_increasing_id that count within a partition


def with_row_number(rows: DataFrame, name: str, *order: str | Column) -> DataFrame:
    """Numbers rows 0, 1, 2, … in an order without ties.

    One Spark job counts the rows of the partitions. The result is persisted, as its numbers must not change between
    uses. Driver memory: one number per partition.

    Args:
        rows: the rows.
        name: name of the new LONG column.
        order: columns that define a unique order, so that a row gets the same number in every run.
    """
    ordered = rows.repartitionByRange(*order).sortWithinPartitions(*order)
    placed = ordered.withColumn("_place", F.monotonically_increasing_id()).persist()
    partition = F.shiftright("_place", ROWS_PER_PARTITION)
    sizes = sorted((row[0], row[1]) for row in placed.groupBy(partition).count().collect())
    offsets: dict[int, int] = {}
    total = 0
    for part, size in sizes:
        offsets[part] = total
        total += size
    if not offsets:
        return placed.withColumn(name, F.lit(0).cast("long")).drop("_place")
    offset = F.create_map(*(F.lit(x).cast("long") for pair in offsets.items() for x in pair))[partition]
    return placed.withColumn(name, offset + F.col("_place").bitwiseAND((1 << ROWS_PER_PARTITION) - 1)).drop("_place")
