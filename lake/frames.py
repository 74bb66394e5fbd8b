"""Small frames from rows of Python, and rows of Python from small frames."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType, TimestampType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def collect_utc(frame: DataFrame) -> list[Row]:
    """Collects a small frame with times in UTC; Spark gives them in the time zone of the driver's host, without it.

    Args:
        frame: names of its columns differ.
    """
    times = [field.name for field in frame.schema if isinstance(field.dataType, TimestampType)]
    rows = [row.asDict() for row in frame.withColumns({name: F.unix_micros(name) for name in times}).collect()]
    for row in rows:
        for name in times:
            row[name] = None if row[name] is None else EPOCH + timedelta(microseconds=row[name])
    return [Row(**row) for row in rows]


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
