"""Parts of formats whose columns have types: Parquet and Delta."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType

from lake.inputs.part import Field, Part


def column(name: str) -> Column:
    """The column of a name, whatever its characters."""
    return F.col("`" + name.replace("`", "``") + "`")


def part_of(rows: DataFrame, file: str) -> Part:
    """The rows of a DataFrame as a part.

    Args:
        rows: the rows.
        file: path of one of the files, for messages.
    """
    fields = tuple(Field(f.name, column(f.name), f.dataType) for f in rows.schema.fields)
    shown = [field.column.alias(field.name) for field in fields if not isinstance(field.kind, BinaryType)]
    row = F.to_json(F.struct(*shown)) if shown else F.lit("{}")
    return Part(rows, fields, row, file)
