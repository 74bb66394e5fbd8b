"""Classes that declare a table: its columns, key, constraints and comments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """One field of a STRUCT column.

    Attributes:
        name: name of the field.
        type: Spark SQL type.
        comment: what the field holds, stored in the table.
    """

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: column name.
        type: Spark SQL type, e.g. ``ARRAY<FLOAT>``.
        comment: what the column holds, stored in the table.
        nullable: whether nulls are allowed; Delta enforces it at every write.
        parts: the fields of a STRUCT whose fields have comments.
    """

    name: str
    type: str
    comment: str
    nullable: bool = True
    parts: tuple[Part, ...] = ()

    @property
    def commented_type(self) -> str:
        """The type in the syntax of CREATE TABLE, with the comments of its parts."""
        if not self.parts:
            return self.type
        return f"STRUCT<{', '.join(f'{p.name}: {p.type} COMMENT {sql_literal(p.comment)}' for p in self.parts)}>"


@dataclass(frozen=True)
class Contract:
    """A Delta table's contract.

    Attributes:
        name: table name, the folder under the warehouse or the name in its catalog schema.
        comment: what one row of the table is.
        columns: all columns, in stored order.
        key: columns whose values identify one row; empty if rows have no key.
        checks: constraint names with their SQL conditions. Delta enforces them at every write, also of other programs.
        partition_by: partition columns.
        cluster_by: columns by which tidy orders the rows (Z-order), so that queries on them read few files.
        properties: further Delta table properties.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(names) != len(set(names)):
            raise ValueError(f"{self.name}: a column is named twice: {names}")
        unknown = {*self.key, *self.partition_by, *self.cluster_by} - set(names)
        if unknown:
            raise ValueError(f"{self.name}: key, partition or cluster columns {sorted(unknown)} are not columns")

    @property
    def names(self) -> list[str]:
        """Column names in stored order."""
        return [column.name for column in self.columns]

    @property
    def schema(self) -> str:
        """Names and types of the columns, as in SQL."""
        return ", ".join(f"{column.name} {column.type}" for column in self.columns)


def sql_name(name: str) -> str:
    """A name in SQL, whatever its characters."""
    return f"`{name.replace('`', '``')}`"


def sql_literal(text: str) -> str:
    """A SQL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
