"""Writes to the Delta tables of a warehouse, which enforce contracts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce

from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.conflicts import CONFLICTS, HalfCreatedError, retry_on_conflict
from lake.conformance import assert_unique, conform, same_columns
from lake.snapshots import Snapshots
from schemas.contract import Contract, sql_literal
from schemas.errors import ContractError, QarmError, UserError

NOT_EMPTY = "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION"
MOST_VALUES = 1000
"""Most partitions that a condition names; a merge that touches more reads them all."""
LAST_COMMIT = "spark.databricks.delta.lastCommitVersionInSession"


class Warehouse(Snapshots):
    """The tables of a warehouse, to read and to write; every write enforces the contract of its table."""

    @retry_on_conflict
    def create(self, contract: Contract) -> None:
        """Creates a table with comments and constraints, unless it exists.

        Raises:
            UserError: its folder holds files that are no Delta table.
        """
        if self.exists(contract.name):
            self._complete_properties(contract)
            return
        try:
            self.spark.sql(f"CREATE TABLE IF NOT EXISTS {self.identifier(contract.name)} {_definition(contract)}")
        except AnalysisException as error:
            if error.getCondition() != NOT_EMPTY:
                raise
        if not self.exists(contract.name):
            self._refuse_other_files(contract.name)
            raise HalfCreatedError(f"table {contract.name}: another writer did not finish creating it")

    def _complete_properties(self, contract: Contract) -> None:
        """Sets properties of the contract that a table of an earlier qarm lacks."""
        name = contract.name
        missing = {key: value for key, value in contract.properties.items() if not self.has_property(name, key)}
        if missing:
            listed = ", ".join(f"{sql_literal(key)} = {sql_literal(value)}" for key, value in missing.items())
            self.spark.sql(f"ALTER TABLE {self.identifier(contract.name)} SET TBLPROPERTIES ({listed})")

    def _refuse_other_files(self, name: str) -> None:
        """Tells a folder that holds other files from one in which another writer has begun to create the table."""
        folder = f"{self.root}/{name}"
        others = {file.name for file in self.files_system.list(folder)} - {"_delta_log"}
        if others and not self.exists(name):  # looked at last: the other writer may have finished, and written rows
            raise UserError(f"{folder} is not empty and holds no Delta table; move its files away")

    def _replace(self, contract: Contract) -> None:
        """Replaces a table by an empty one with the columns of the contract; older versions stay readable.

        Delta's SQL refuses other columns where a table is named by its folder, and its builder does not.
        """
        if self.in_catalog:
            self.spark.sql(f"CREATE OR REPLACE TABLE {self.identifier(contract.name)} {_definition(contract)}")
            return
        builder = DeltaTable.replace(self.spark).location(f"{self.root}/{contract.name}").comment(contract.comment)
        for column in contract.columns:
            builder = builder.addColumn(
                column.name, column.commented_type, nullable=column.nullable, comment=column.comment
            )
        for key, value in _properties(contract).items():
            builder = builder.property(key, value)
        builder.partitionedBy(*contract.partition_by).execute()

    @retry_on_conflict
    def restore(self, contract: Contract, version: int) -> None:
        """Makes a table what it was in an earlier version, in a new version."""
        self.sql_on(contract, f"RESTORE TABLE {{table}} TO VERSION AS OF {version}")

    def overwrite(self, contract: Contract, rows: DataFrame) -> int:
        """Replaces all rows of a table, in one version.

        Returns:
            The version written.

        Raises:
            ContractError: the rows break the contract; the table is unchanged.
        """
        return self._save(contract, rows, "overwrite")

    def append(self, contract: Contract, rows: DataFrame) -> int:
        """Adds rows to a table, in one version.

        Returns:
            The version written, or the current version if there were no rows.

        Raises:
            ContractError: the rows break the contract; the table is unchanged.
        """
        return self._save(contract, rows, "append")

    @retry_on_conflict
    def _save(self, contract: Contract, rows: DataFrame, mode: str) -> int:
        checked = conform(rows, contract)
        if mode == "overwrite":
            assert_unique(checked, contract)
        self.create(contract)
        if mode == "overwrite" and not same_columns(self.read(contract.name), contract):
            self._replace(contract)
        writer = checked.write.format("delta").mode(mode)
        if contract.partition_by:
            writer = writer.partitionBy(*contract.partition_by)
        self.spark.conf.unset(LAST_COMMIT)
        target = f"{self.location}.{contract.name}" if self.in_catalog else f"{self.root}/{contract.name}"
        _keeping_contract(contract, lambda: writer.saveAsTable(target) if self.in_catalog else writer.save(target))
        return self._committed(contract.name)

    def merge(
        self,
        contract: Contract,
        rows: DataFrame,
        compare: Sequence[str],
        *,
        keep: Sequence[str] = (),
        within: str | None = None,
    ) -> int | None:
        """Inserts rows with new keys, and updates rows whose compared columns differ.

        If nothing differs, no version is written. Executor memory: rows that differ are persisted (memory and disk)
        during the call.

        Args:
            contract: contract of the table.
            rows: the new rows, at most one per key.
            compare: columns whose difference makes a row an update.
            keep: columns that an update does not change.
            within: a partition column that follows from the key; partitions that the rows do not touch are not read.

        Returns:
            The version written, or the current version if nothing differed.

        Raises:
            ContractError: the rows break the contract; the table is unchanged.
        """
        checked = conform(rows, contract)
        assert_unique(checked, contract)
        # Also the first rows are merged: another writer may have created the table since this one looked.
        self.create(contract)
        current = self.version(contract.name)
        if not self.read(contract.name, current).inputFiles():
            try:
                self._merge_rows(contract, checked, keep, only_new=True)  # in one pass
                return self._committed(contract.name)
            except CONFLICTS:
                current = self.version(contract.name)
        touched = None if within is None else _one_of(checked, within)
        changes = self._changes(contract, checked, compare, version=current, touched=touched).persist()
        try:
            if changes.isEmpty():
                return current
            self._merge_changes(contract, changes, keep, None if within is None else _one_of(changes, within))
        finally:
            changes.unpersist()
        return self._committed(contract.name)

    def _changes(
        self,
        contract: Contract,
        rows: DataFrame,
        compare: Sequence[str],
        *,
        version: int | None,
        touched: str | None,
    ) -> DataFrame:
        known = self.read(contract.name, version)
        old = (known if touched is None else known.where(touched)).select(
            *contract.key, *(F.col(name).alias(f"_old_{name}") for name in compare), F.lit(True).alias("_known")
        )
        differs = reduce(lambda a, b: a | b, (~F.col(n).eqNullSafe(F.col(f"_old_{n}")) for n in compare), F.lit(False))
        return (
            rows.join(old, on=list(contract.key), how="left")
            .where(F.col("_known").isNull() | differs)
            .select(*contract.names)
        )

    @retry_on_conflict
    def _merge_changes(self, contract: Contract, changes: DataFrame, keep: Sequence[str], touched: str | None) -> None:
        self._merge_rows(contract, changes, keep, only_new=False, touched=touched)

    def _merge_rows(
        self,
        contract: Contract,
        changes: DataFrame,
        keep: Sequence[str],
        *,
        only_new: bool,
        touched: str | None = None,
    ) -> None:
        view = f"_changes_of_{contract.name}"
        changes.createOrReplaceTempView(view)
        on_key = " AND ".join(f"old.{name} = new.{name}" for name in contract.key)
        if touched is not None:
            on_key += f" AND old.{touched}"
        updates = ", ".join(f"{n} = new.{n}" for n in contract.names if n not in {*contract.key, *keep})
        statement = (
            f"MERGE INTO {self.identifier(contract.name)} AS old USING {view} AS new ON {on_key}"
            f"{'' if only_new else f' WHEN MATCHED THEN UPDATE SET {updates}'} WHEN NOT MATCHED THEN INSERT *"
        )
        self.spark.conf.unset(LAST_COMMIT)
        _keeping_contract(contract, lambda: self.spark.sql(statement))
        self.spark.catalog.dropTempView(view)

    def sql_on(self, contract: Contract, statement: str) -> None:
        """Runs a statement of SQL that changes a table; a conflict with another writer is raised, not retried.

        Args:
            contract: contract of the table.
            statement: the statement, with ``{table}`` in place of the table's full name.
        """
        self.spark.sql(statement.replace("{table}", self.identifier(contract.name)))

    def _committed(self, name: str) -> int:
        """The version of the last write, or the newest version if the write changed nothing."""
        version = self.spark.conf.get(LAST_COMMIT, None) or self.version(name)
        if version is None:
            raise QarmError(f"table {name}: Delta reported no commit")
        return int(version)


def _one_of(rows: DataFrame, column: str) -> str | None:
    """The condition that a column of dates has one of the values that it has in some rows; None for too many values.

    Driver memory: one date per value.
    """
    values = [row[0] for row in rows.select(column).distinct().limit(MOST_VALUES + 1).collect()]
    if len(values) > MOST_VALUES:
        return None
    return f"{column} IN ({', '.join(f'DATE{sql_literal(str(value))}' for value in values) or 'NULL'})"


def _definition(contract: Contract) -> str:
    """Columns, partitions, comment and properties of a table, as SQL."""
    columns = ", ".join(
        f"{c.name} {c.commented_type}{'' if c.nullable else ' NOT NULL'} COMMENT {sql_literal(c.comment)}"
        for c in contract.columns
    )
    partitions = f"PARTITIONED BY ({', '.join(contract.partition_by)})" if contract.partition_by else ""
    listed = ", ".join(f"{sql_literal(key)} = {sql_literal(value)}" for key, value in _properties(contract).items())
    return f"({columns}) USING delta {partitions} COMMENT {sql_literal(contract.comment)} TBLPROPERTIES ({listed})"


def _properties(contract: Contract) -> dict[str, str]:
    checks = {f"delta.constraints.{name}": condition for name, condition in contract.checks.items()}
    return {**checks, **contract.properties, "delta.enableDeletionVectors": "false"}


def _keeping_contract(contract: Contract, write: Callable[[], object]) -> None:
    try:
        write()
    except (Py4JJavaError, PySparkException) as error:
        broken = re.search(r"(CHECK constraint .*? violated|NOT NULL constraint violated for column: \S+)", str(error))
        if broken:
            raise ContractError(f"table {contract.name}: {broken.group(1).rstrip('.')}; nothing was written") from None
        raise
