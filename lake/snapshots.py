"""The Delta tables of a warehouse, to read: versions, snapshots, changes and files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from delta.tables import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession

from lake.hadoop import HadoopFiles
from schemas.contract import sql_name
from schemas.errors import QarmError, UserError

CATALOG_SCHEMA = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")


@dataclass(frozen=True)
class Commit:
    """One commit of a table.

    Attributes:
        version: the version that it made.
        at: when, in microseconds since 1970.
        operation: what it did, as Delta names it.
    """

    version: int
    at: int
    operation: str


class Snapshots:
    """The tables of a folder (``<warehouse>/<name>``) or of a catalog schema (``<catalog>.<schema>.<name>``).

    Args:
        spark: session with Delta.
        location: URL of a folder on any Hadoop file system, or ``catalog.schema``.

    Raises:
        UserError: the catalog schema does not exist.
    """

    def __init__(self, spark: SparkSession, location: str) -> None:
        self.spark = spark
        self.location = location
        self.files_system = HadoopFiles(spark)
        self.commits: dict[tuple[str, int, int | None], list[Commit]] = {}
        self.in_catalog = bool(CATALOG_SCHEMA.fullmatch(location))
        self.root = self._schema_folder() if self.in_catalog else self.files_system.qualify(location)

    def _schema_folder(self) -> str:
        try:
            rows = self.spark.sql(f"DESCRIBE SCHEMA {self.location}").collect()
        except AnalysisException:
            raise UserError(
                f"--warehouse {self.location}: no such catalog schema; for a folder, write ./{self.location}"
            ) from None
        return str(next(row[1] for row in rows if row[0] == "Location"))

    def identifier(self, name: str) -> str:
        """The full name of a table in SQL."""
        if self.in_catalog:
            return f"{self.location}.{name}"
        return f"delta.{sql_name(f'{self.root}/{name}')}"

    def exists(self, name: str) -> bool:
        """Whether a table exists."""
        if self.in_catalog:
            return self.spark.catalog.tableExists(f"{self.location}.{name}")
        # Delta remembers that a folder held no table, and does not look again when another process made one there.
        return bool(DeltaTable.isDeltaTable(self.spark, f"{self.root}/{name}")) or self._listed_version(name) >= 0

    def version(self, name: str) -> int | None:
        """The newest version of a table; None if the table does not exist."""
        if not self.exists(name):
            return None
        if self.in_catalog:
            newest = self.spark.sql(f"DESCRIBE HISTORY {self.identifier(name)} LIMIT 1").collect()[0]
            return int(newest["version"])
        return self._listed_version(name)

    def _listed_version(self, name: str) -> int:
        """The newest version in the folder of a table's log; -1 if there is none.

        Listing is enough; DESCRIBE HISTORY runs a Spark job that opens every commit of the table.
        """
        return int(self._snapshot(name).version())

    def _snapshot(self, name: str) -> Any:
        """Delta's own snapshot of a table in a folder, as of now."""
        jvm: Any = self.spark._jvm
        session: Any = self.spark._jsparkSession
        log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(session, f"{self.root}/{name}")
        nothing = jvm.scala.Option.empty()
        return log.update(False, nothing, nothing)

    def has_property(self, name: str, key: str) -> bool:
        """Whether a table has a property, whatever its value."""
        if not self.in_catalog:
            return bool(self._snapshot(name).metadata().configuration().contains(key))
        rows = self.spark.sql(f"SHOW TBLPROPERTIES {self.identifier(name)}").collect()
        return any(row["key"] == key for row in rows)

    def read(self, name: str, version: int | None = None) -> DataFrame:
        """A table in one version.

        Args:
            name: name of the table.
            version: the version; None for the newest.

        Raises:
            UserError: the table does not exist.
        """
        if not self.exists(name):
            raise UserError(f"table {name} does not exist in {self.location}; run the job that writes it, or nightly")
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.table(f"{self.location}.{name}") if self.in_catalog else reader.load(f"{self.root}/{name}")

    def changes(self, name: str, since: int, until: int | None = None) -> DataFrame:
        """The change data feed of a table.

        Args:
            name: name of the table.
            since: the first version.
            until: the last version; None for the newest.
        """
        reader = self.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", since)
        if until is not None:
            reader = reader.option("endingVersion", until)
        return reader.table(f"{self.location}.{name}") if self.in_catalog else reader.load(f"{self.root}/{name}")

    def files(self, name: str, version: int, where: Column) -> list[str]:
        """The Parquet files of a table in one version, for readers outside Spark.

        Args:
            name: name of the table.
            version: the version.
            where: condition on partition columns.

        Raises:
            QarmError: the table allows deletion vectors, which other readers ignore.
        """
        detail = self.spark.sql(f"DESCRIBE DETAIL {self.identifier(name)}").collect()[0]
        if "deletionVectors" in (detail["tableFeatures"] or []) or (
            detail["properties"].get("delta.enableDeletionVectors", "false") == "true"
        ):
            raise QarmError(
                f"table {name} allows deletion vectors, which readers outside Spark ignore; drop its"
                " feature deletionVectors"
            )
        return sorted(self.read(name, version).where(where).inputFiles())
