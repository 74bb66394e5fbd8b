"""The commits of a table: what they did, and which versions can still be read."""

from __future__ import annotations

from urllib.parse import unquote

from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from lake.snapshots import Commit, Snapshots
from schemas.errors import UserError

MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END", "REORG", "COMPUTE STATS", "CLUSTER BY", "SET TBLPROPERTIES")
"""Operations that Delta records although they leave the rows as they are."""


def history(tables: Snapshots, name: str, since: int) -> list[Commit]:
    """The commits of a table from a version on, oldest first. Driver memory: one row a commit.

    Jobs of a night ask for the same ones, each time by a Spark job, so they are kept as long as no other commit came.
    """
    asked = name, since, tables.version(name)
    if asked not in tables.commits:
        tables.commits[asked] = _read(tables, name, since)
    return tables.commits[asked]


def _read(tables: Snapshots, name: str, since: int) -> list[Commit]:
    at = F.unix_micros("timestamp").alias("at")
    rows = tables.spark.sql(f"DESCRIBE HISTORY {tables.identifier(name)}").select("version", at, "operation")
    return [Commit(*row) for row in rows.where(F.col("version") >= since).orderBy("version").collect()]


def rows_changed(tables: Snapshots, name: str, since: int) -> bool:
    """Whether a commit after a version may have changed rows; compaction and VACUUM change none.

    A table whose newest version is an earlier one was removed and made anew, so its rows are others.
    """
    commits = history(tables, name, since)
    made_anew = not commits and (tables.version(name) or 0) < since
    return made_anew or any(commit.operation not in MAINTENANCE for commit in commits if commit.version > since)


def has_version(tables: Snapshots, name: str, version: int) -> bool:
    """Whether all files of a table in one version are still there."""
    try:
        files = tables.read(name, version).inputFiles()
    except (PySparkException, UserError):
        return False
    there = {file.name for file in tables.files_system.walk(f"{tables.root}/{name}")}
    return {unquote(file.rsplit("/", 1)[-1]) for file in files} <= there
