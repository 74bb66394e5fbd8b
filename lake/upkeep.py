"""Keeps a warehouse small and quick to read: compaction, VACUUM, and the removal of what failed runs left behind."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import functions as F

from lake.conflicts import retry_on_conflict
from lake.hadoop import HadoopFiles
from lake.history import history, rows_changed
from lake.snapshots import Commit
from lake.warehouse import Warehouse
from schemas.contract import Contract, sql_literal

log = logging.getLogger("qarm")

HOUR = 3600 * 1_000_000
DELTAS_HOURS = 7 * 24
"""Delta's own retention of files that no version needs any more, if a table sets none."""


@dataclass(frozen=True)
class Files:
    """Data files of a table in its newest version."""

    count: int
    bytes: int


def files_of(warehouse: Warehouse, name: str) -> Files:
    """The number and size of a table's data files."""
    detail = warehouse.spark.sql(f"DESCRIBE DETAIL {warehouse.identifier(name)}").select("numFiles", "sizeInBytes")
    count, size = detail.collect()[0]
    return Files(int(count), int(size))


def compact(warehouse: Warehouse, contract: Contract) -> None:
    """Rewrites small files into large ones, ordered by the contract's ``cluster_by`` (Z-order).

    The rows stay the same, so no job becomes stale. What did not change since the last time is left alone: ordering
    rewrites all files that it is given, and the old ones stay for the table's retention.
    """
    commits = history(warehouse, contract.name, 0)
    last = next((commit for commit in reversed(commits) if commit.operation == "OPTIMIZE"), None)
    if last is not None and not rows_changed(warehouse, contract.name, last.version):
        return
    where = "" if last is None or not contract.partition_by else _where_changed(warehouse, contract, last)
    order = f" ZORDER BY ({', '.join(contract.cluster_by)})" if contract.cluster_by else ""
    _optimize(warehouse, contract, f"OPTIMIZE {{table}}{where}{order}")


@retry_on_conflict
def _optimize(warehouse: Warehouse, contract: Contract, statement: str) -> None:
    """Runs OPTIMIZE; a commit of another writer meanwhile makes it start again."""
    warehouse.sql_on(contract, statement)


def _where_changed(warehouse: Warehouse, contract: Contract, last: Commit) -> str:
    """The condition for the partitions that got files since a commit; one row a partition comes to the driver."""
    partition = contract.partition_by[0]
    written = F.unix_micros("_metadata.file_modification_time")
    rows = warehouse.read(contract.name).where(written > last.at).select(partition).distinct().collect()
    listed = ", ".join(sql_literal(str(row[0])) for row in sorted(rows))
    return f" WHERE {partition} IN ({listed})" if rows else ""


def hours_to_keep(warehouse: Warehouse, name: str, versions: Iterable[int]) -> int:
    """For how many hours VACUUM must keep the files that a table no longer needs.

    A version's files are needed until the next version replaces them. So the files of the oldest version that has to
    stay readable are those that were replaced at the commit after it, or later.

    Args:
        warehouse: the warehouse.
        name: the table.
        versions: versions that have to stay readable.

    Returns:
        The hours; 0 if the newest version is the only one of them.
    """
    oldest = min(versions, default=None)
    later = [] if oldest is None else history(warehouse, name, oldest + 1)
    if not later:
        return 0
    return math.ceil((time.time() * 1_000_000 - later[0].at) / HOUR) + 1


def retention_hours(warehouse: Warehouse, name: str) -> int:
    """For how many hours a table's own property, or else Delta, keeps files that it no longer needs."""
    rows = warehouse.spark.sql(f"SHOW TBLPROPERTIES {warehouse.identifier(name)}").collect()
    text = {row[0]: row[1] for row in rows}.get("delta.deletedFileRetentionDuration")
    if text is None:
        return DELTAS_HOURS
    ends = F.timestamp_seconds(F.lit(0)) + F.lit(text).cast("interval")
    seconds = int(warehouse.spark.range(1).select(F.unix_seconds(ends)).collect()[0][0])
    return math.ceil(seconds / 3600)


def vacuum(warehouse: Warehouse, contract: Contract, versions: Iterable[int]) -> int | None:
    """Removes the files that the table's retention does not keep, if no version to keep needs them.

    Delta forgets which files a version no longer needs after the table's retention. VACUUM with a longer one would
    then remove those of them that are old, whatever version they are of.

    Args:
        warehouse: the warehouse.
        contract: contract of the table.
        versions: versions that have to stay readable.

    Returns:
        The hours for which files were kept; None if nothing was removed, as a version to keep is too old.
    """
    hours = retention_hours(warehouse, contract.name)
    if hours_to_keep(warehouse, contract.name, versions) > hours:
        return None
    warehouse.sql_on(contract, f"VACUUM {{table}} RETAIN {hours} HOURS")
    return hours


def remove_leftovers(files: HadoopFiles, folder: str, days: float, *, named: str = "") -> list[str]:
    """Removes files and folders that nobody has written to for some days.

    Args:
        files: the file system.
        folder: URL of a folder with temporary files; it may not exist.
        days: the age from which they are removed.
        named: how the names of temporary files begin; empty if all files of the folder are temporary.

    Returns:
        Names of what was removed.
    """
    there = [status for status in files.list(folder) if status.name.startswith(named)]
    if not there:
        return []
    limit = files.now(folder).timestamp() - days * 86_400
    old = []
    for entry in there:
        written = [status.modified for status in files.walk(entry.path)] if entry.is_folder else []
        if max([entry.modified, *written]) / 1000 < limit:
            files.delete(entry.path)
            old.append(entry.name)
    return old
