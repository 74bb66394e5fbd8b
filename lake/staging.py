"""Temporary Parquet files, for readers outside Spark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame

from lake.run import Run


@contextmanager
def staged(run: Run, name: str, rows: DataFrame) -> Iterator[list[str]]:
    """Writes rows as Parquet under ``<warehouse>/_staging`` and removes the files at the end.

    Args:
        run: the run.
        name: part of the folder's name.
        rows: the rows; partitions and order are kept.

    Yields:
        URLs of the files, in the order of the partitions.
    """
    url = f"{run.lake.warehouse.root}/_staging/{run.run_id}-{run.job.name}-{name}"
    try:
        rows.write.mode("overwrite").parquet(url)
        yield sorted(run.spark.read.schema(rows.schema).parquet(url).inputFiles())
    finally:
        run.lake.files.delete(url)
