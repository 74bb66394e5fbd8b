"""The lines of text files, and facts about them that the readers of CSV and JSON depend on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F

from lake.inputs.files import InputFile, InputFiles
from schemas.errors import UserError

LINE = "value"
"""Column of the text of a line."""

FILE = "_qarm_file"
"""Column of the path of a row's file."""


def reader_of(spark: SparkSession, files: InputFiles) -> DataFrameReader:
    """A reader for which folders ``name=value`` of the input are columns."""
    return spark.read.option("basePath", files.base)


def literal(path: str) -> str:
    """A path for Spark's readers in which no character is a wildcard."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", path)


def read_lines(spark: SparkSession, files: InputFiles, paths: Sequence[str], whole: bool = False) -> DataFrame:
    """The lines of text files with the columns of their folders.

    Args:
        spark: the session.
        files: the input.
        paths: some of its files.
        whole: whether a row is a whole file instead of a line.
    """
    lines = reader_of(spark, files).text([literal(path) for path in paths], wholetext=whole)
    return lines.withColumn(FILE, F.col("_metadata.file_path"))


def java_name(spark: SparkSession, files: InputFiles, encoding: str) -> str:
    """Java's name of an encoding.

    Args:
        spark: the session.
        files: the input, for the message.
        encoding: a name in Python, e.g. ``iso8859-1``.

    Raises:
        UserError: Java has no such encoding.
    """
    jvm: Any = spark._jvm
    named = files.place.settings.encoding
    for name in (encoding, encoding.replace("_", "-"), encoding.replace("-", ""), encoding.replace("_", ""), named):
        if name and jvm.java.nio.charset.Charset.isSupported(name):
            return str(jvm.java.nio.charset.Charset.forName(name).name())
    raise UserError(f"{files.place.section}.encoding: Java has no encoding {named}; convert the files to UTF-8")


@dataclass(frozen=True)
class LineFacts:
    """What the lines of some files are like.

    Attributes:
        undecodable: a file with bytes that are no UTF-8, and the number of its lines with such bytes; None if all
            files are UTF-8.
        in_doubt: some lines in which a quote follows a backslash.
        open_lines: whether a line has an odd number of quotes, so that a field may go on in the next line; by the
            character that escapes a quote.
    """

    undecodable: tuple[str, int] | None
    in_doubt: tuple[str, ...]
    open_lines: dict[str, bool]


def line_facts(spark: SparkSession, files: InputFiles, group: Sequence[InputFile], quote: str) -> LineFacts:
    """Finds what :class:`LineFacts` says; small files were read already, large ones are read in one pass.

    Driver memory: four lines per file.

    Args:
        spark: the session.
        files: the input.
        group: some of its files.
        quote: the character around quoted fields.
    """
    if all(file.is_whole for file in group):
        return _facts_of_heads(group, quote)
    line, escaped = F.col(LINE), F.lit("\\" + quote)
    valid = F.is_valid_utf8(line)
    doubtful = F.when(valid & F.contains(line, escaped), line)
    samples = (
        F.min(doubtful),
        F.max(doubtful),
        F.first(doubtful, ignorenulls=True),
        F.last(doubtful, ignorenulls=True),
    )
    rows = (
        read_lines(spark, files, [file.path for file in group])
        .groupBy(FILE)
        .agg(
            F.count_if(~valid).alias("undecodable"),
            F.count_if(_is_open(line, quote)).alias("doubled"),
            F.count_if(_is_open(F.replace(line, escaped, F.lit("")), quote)).alias("backslash"),
            F.array_compact(F.array(*samples)).alias("in_doubt"),
        )
        .collect()
    )
    return LineFacts(
        next(((row[FILE], row["undecodable"]) for row in rows if row["undecodable"]), None),
        tuple(sorted({line for row in rows for line in row["in_doubt"]})),
        {quote: any(row["doubled"] for row in rows), "\\": any(row["backslash"] for row in rows)},
    )


def refuse_undecodable(spark: SparkSession, files: InputFiles, group: Sequence[InputFile]) -> None:
    """Checks that files are in UTF-8; those that are small were read already.

    Args:
        spark: the session.
        files: the input.
        group: some of its files.

    Raises:
        UserError: a file is in another encoding.
    """
    if all(file.is_whole for file in group):
        found = _facts_of_heads(group, '"').undecodable
    else:
        lines = read_lines(spark, files, [file.path for file in group]).where(~F.is_valid_utf8(LINE))
        counts = lines.groupBy(FILE).count().limit(1).collect()
        found = (counts[0][FILE], counts[0]["count"]) if counts else None
    if found is not None:
        raise undecodable_error(files, found)


def undecodable_error(files: InputFiles, found: tuple[str, int]) -> UserError:
    """The user's mistake about a file that is not in UTF-8.

    Args:
        files: the input.
        found: the file, and the number of its lines with other bytes.
    """
    section = files.place.section
    message = f"{found[1]} lines are not in UTF-8; set {section}.encoding, e.g. to latin-1 or cp1252"
    return files.error(message, found[0])


def _facts_of_heads(group: Sequence[InputFile], quote: str) -> LineFacts:
    escaped = f"\\{quote}".encode()
    lines = [(file.path, line) for file in group for line in file.head.replace(b"\r", b"\n").split(b"\n")]
    bad = Counter(path for path, line in lines if not _is_utf_8(line))
    doubtful = sorted({line.decode() for _, line in lines if escaped in line and _is_utf_8(line)})
    open_lines = {
        quote: any(line.count(quote.encode()) % 2 for _, line in lines),
        "\\": any(line.replace(escaped, b"").count(quote.encode()) % 2 for _, line in lines),
    }
    return LineFacts(next(iter(bad.items()), None), tuple(doubtful), open_lines)


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_open(line: Column, quote: str) -> Column:
    quotes = F.octet_length(line) - F.octet_length(F.replace(line, F.lit(quote), F.lit("")))
    return F.contains(line, F.lit(quote)) & (quotes % 2 == 1)
