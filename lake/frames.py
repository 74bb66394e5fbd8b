"""Small frames from rows of Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType


def frame_of(spark: SparkSession, rows: Sequence[Sequence[Any]], schema: str) -> DataFrame:
    """A frame of a few rows, which travel as Arrow.

    ``SparkSession.createDataFrame`` sends a list through Python workers, which takes four times as long.

    Args:
        spark: the session.
        rows: the rows, with as many values as the schema has columns.
        schema: names and types of the columns, as in SQL.
    """
    struct = cast(StructType, StructType.fromDDL(schema))
    types = to_arrow_schema(struct)
    columns = zip(*rows, strict=True) if rows else ([] for _ in struct)
    arrays = [pa.array(list(values), field.type) for values, field in zip(columns, types, strict=True)]
    return spark.createDataFrame(pa.Table.from_arrays(arrays, schema=types), struct)
