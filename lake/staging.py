"""Temporary Parquet files, for readers outside Spark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import DataFrame

from lake.lake import Lake
from lake.run import Run

FOLDER = "_staging"


@dataclass(frozen=True)
class Staged:
    """Rows that were written for readers outside Spark.

    Attributes:
        rows: the rows, for Spark.
        files: URLs of their files with escaped characters, in the order of the partitions.
    """

    rows: DataFrame
    files: list[str]


@contextmanager
def staged(run: Run, name: str, rows: DataFrame) -> Iterator[Staged]:
    """Writes rows as Parquet under ``<warehouse>/_staging`` and removes the files at the end.

    Args:
        run: the run.
        name: part of the folder's name.
        rows: the rows; partitions and order are kept.

    Yields:
        The written rows.
    """
    url = f"{run.lake.warehouse.root}/{FOLDER}/{run.run_id}-{run.job.name}-{name}"
    try:
        rows.write.mode("overwrite").parquet(url)
        written = run.spark.read.schema(rows.schema).parquet(url)
        yield Staged(written, sorted(written.inputFiles()))
    finally:
        run.lake.files.delete(url)


def remove_staged(lake: Lake, run_id: str) -> None:
    """Removes what a run that was killed had staged.

    Args:
        lake: Spark and the warehouse.
        run_id: the run, which no longer works.
    """
    for left in lake.files.list(f"{lake.warehouse.root}/{FOLDER}"):
        if left.name.startswith(f"{run_id}-"):
            lake.files.delete(left.path)
