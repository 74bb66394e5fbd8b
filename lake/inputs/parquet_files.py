"""Reads Parquet: files with other columns or types become parts of their own, and nanoseconds become TIMESTAMP."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType

from lake.hadoop import HadoopFiles
from lake.inputs.failures import reading
from lake.inputs.files import READERS, InputFiles
from lake.inputs.part import Part
from lake.inputs.text_lines import literal, reader_of
from lake.inputs.typed import column, part_of
from lake.logs import first_line


@dataclass(frozen=True)
class Footer:
    """What the end of a Parquet file says.

    Attributes:
        schema: all columns and types as text; files with equal texts are read together.
        nanoseconds: names of the columns that hold timestamps in nanoseconds.
    """

    schema: str
    nanoseconds: tuple[str, ...]


def read_parquet(spark: SparkSession, files: InputFiles) -> list[Part]:
    """Reads Parquet files.

    Args:
        spark: the session.
        files: the input.

    Raises:
        UserError: a file is cut off, or has a type that Spark does not read.
    """
    system = HadoopFiles(spark)
    with ThreadPoolExecutor(READERS) as pool:
        footers = list(pool.map(lambda file: _footer(system, files, file.path), files.files))
    groups: dict[Footer, list[str]] = {}
    for file, footer in zip(files.files, footers, strict=True):
        groups.setdefault(footer, []).append(file.path)
    return [_read_group(spark, files, footer, paths) for footer, paths in groups.items()]


def _footer(system: HadoopFiles, files: InputFiles, path: str) -> Footer:
    try:
        schema: Any = system.parquet_schema(path)
        fields = [schema.getType(n) for n in range(schema.getFieldCount())]
        nanoseconds = [str(f.getName()) for f in fields if "TIMESTAMP(NANOS" in str(f.getLogicalTypeAnnotation())]
        return Footer(str(schema.toString()), tuple(nanoseconds))
    except Py4JJavaError as error:
        raise files.error(f"cannot be read as Parquet, is it cut off? {first_line(error)}", path) from None


def _read_group(spark: SparkSession, files: InputFiles, footer: Footer, paths: Sequence[str]) -> Part:
    # Times before 1900 mean what the file says: pandas and Arrow write them so, and ingest rejects most of them.
    as_written = {"datetimeRebaseMode": "CORRECTED", "int96RebaseMode": "CORRECTED", "mergeSchema": "false"}
    with reading(files):
        rows = reader_of(spark, files).options(**as_written).parquet(*map(literal, paths))
    for name in footer.nanoseconds:
        if isinstance(rows.schema[name].dataType, LongType):  # spark.sql.legacy.parquet.nanosAsLong
            rows = rows.withColumn(name, F.timestamp_micros(F.floor(column(name) / 1_000).cast("long")))
    return part_of(rows, paths[0])
