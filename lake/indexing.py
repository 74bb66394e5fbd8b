"""Consecutive numbers for rows, without bringing the rows to one place."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

ROWS_PER_PARTITION = 33  # bits of monotonically_increasing_id that count within a partition


def with_row_number(rows: DataFrame, name: str, *order: str | Column) -> DataFrame:
    """Numbers rows 0, 1, 2, … in an order without ties.

    Runs one job for the sizes of the partitions; the result is persisted, as the numbers must not change between uses.
    Driver memory: one number a partition.

    Args:
        rows: the rows.
        name: of the new LONG column.
        order: columns that no two rows agree in, so that equal rows get equal numbers in every run.
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
