"""Reads the user's input files: formats, names of columns, and types of ids and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from delta.tables import DeltaTable
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, DoubleType, FloatType, NumericType, TimestampNTZType, TimestampType

from lake.declaration import Option, toml_text
from schemas.errors import UserError

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}


def renames(text: str) -> str:
    """The text of ``--rename``, ``theirs=ours,theirs=ours``, as a TOML table.

    Raises:
        UserError: the text has another form.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(theirs and ours for theirs, _, ours in pairs):
        raise UserError(f"--rename {text}: expected theirs=ours,theirs=ours")
    return f"{{ {', '.join(f'{toml_text(theirs)} = {toml_text(ours)}' for theirs, _, ours in pairs)} }}"


def input_options(section: str) -> tuple[Option, ...]:
    """The options about how a job's input files are read.

    Args:
        section: section of the settings that holds ``format`` and ``rename``.
    """
    return (
        Option(
            flags=("--format",),
            help="parquet, csv, json or delta (default: by the extension of the path)",
            metavar="FORMAT",
            setting=f"{section}.format",
        ),
        Option(
            flags=("--rename",),
            help="column of the input=column of qarm, separated by commas",
            metavar="a=user_id,b=item_id",
            setting=f"{section}.rename",
            to_toml=renames,
        ),
    )


def read_input(spark: SparkSession, path: str, option: str, named: str) -> DataFrame:
    """Reads a file or folder.

    Args:
        spark: the session.
        path: path of the input.
        option: option that names the input, for messages.
        named: the format; "" to derive it from the path.

    Raises:
        UserError: the format is unknown, or the input cannot be read in it.
    """
    form = named or _format_of(spark, path)
    if form is None:
        raise UserError(
            f"{option} {path}: the extension names no known format; add --format parquet, csv, json or delta"
        )
    reader = spark.read.format(form)
    if form == "csv":
        reader = (
            reader.option("header", True)
            .option("multiLine", option == "--items")
            .option("sep", "\t" if path.endswith(".tsv") else ",")
            .option("escape", '"')
        )
    try:
        return reader.load(path)
    except (AnalysisException, PySparkException) as error:
        raise UserError(f"{option} {path}: cannot be read as {form}: {str(error).splitlines()[0]}") from None


def _format_of(spark: SparkSession, path: str) -> str | None:
    by_name = FORMATS.get(PurePosixPath(path.rstrip("/").removesuffix(".gz")).suffix.lower())
    if by_name:
        return by_name
    return "delta" if DeltaTable.isDeltaTable(spark, path) else None


def rename_columns(rows: DataFrame, rename: Mapping[str, str]) -> DataFrame:
    """Renames columns of an input.

    The renames are shared by two inputs: one is skipped if its column is missing, or if the new name already exists.
    """
    mine = {a: b for a, b in rename.items() if a in rows.columns and (b not in rows.columns or b in rename)}
    return rows.withColumnsRenamed(mine)


def require_columns(rows: DataFrame, needed: Sequence[str], option: str, path: str) -> None:
    """Checks that an input has all needed columns.

    Raises:
        UserError: a column is missing; the message names it and the option that maps another column to it.
    """
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        there = ", ".join(rows.columns)
        raise UserError(
            f"{option} {path}: no column {', '.join(missing)} (it has {there}); map one with"
            f" --rename theirs={missing[0]}"
        )


def as_time(column: Column, kind: object) -> Column:
    """Converts a timestamp, date, ISO text or number since 1970 to TIMESTAMP; null for any other value."""
    if isinstance(kind, (TimestampType, TimestampNTZType, DateType)):
        return column.cast("timestamp")
    if isinstance(kind, NumericType):
        return _since_1970(column.cast("double"))
    return F.coalesce(column.try_cast("timestamp"), _since_1970(column.try_cast("double")))


def _since_1970(number: Column) -> Column:
    """Converts seconds, milli-, micro- or nanoseconds to TIMESTAMP; the size of the number tells the unit."""
    size = F.abs(number)
    micros = F.when(size < 1e11, number * 1e6).when(size < 1e14, number * 1e3).when(size < 1e17, number)
    return F.timestamp_micros(micros.otherwise(number / 1e3).try_cast("long"))


def as_id(column: Column, kind: object) -> Column:
    """Converts an id to text. Blank texts become null, and whole numbers that were read as floats lose their ``.0``."""
    text = F.trim(column.cast("string"))
    if isinstance(kind, (DoubleType, FloatType)):
        whole = column.try_cast("long")
        text = F.when(whole == column, whole.cast("string")).when(~F.isnan(column), text)
    return F.when(text != "", text)
