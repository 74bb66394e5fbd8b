"""Reads CSV: columns by the names in each file's header, all values as text, rows of another width as malformed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from lake.inputs.dialect import Dialect, decoded, dialect_of, encoding_of, with_escape
from lake.inputs.files import InputFile, InputFiles
from lake.inputs.part import MALFORMED, Field, Part
from lake.inputs.text_lines import FILE, java_name, line_facts, literal, reader_of, undecodable_error
from schemas.contract import sql_name

UTF_8 = "utf-8"

REPLACED = "\ufffd"
"""What Java writes for bytes that it cannot decode."""


@dataclass(frozen=True)
class Header:
    """What the first row of a file says.

    Attributes:
        names: names of the columns.
        dialect: how the file is written.
        in_one_line: whether the row ends at the first line break.
    """

    names: tuple[str, ...]
    dialect: Dialect
    in_one_line: bool


@dataclass(frozen=True)
class CsvReader:
    """Reads files with equal headers.

    Attributes:
        spark: the session.
        files: the input.
        header: the header of the files.
        group: the files.
    """

    spark: SparkSession
    files: InputFiles
    header: Header
    group: tuple[InputFile, ...]

    @property
    def paths(self) -> list[str]:
        """Paths of the files."""
        return [file.path for file in self.group]

    @property
    def columns(self) -> list[str]:
        """Names under which Spark reads the columns; the header's own may occur twice."""
        return [f"_qarm_{n}" for n in range(len(self.header.names))]

    def rows(self, in_lines: bool) -> DataFrame:
        """The rows; a row with more or fewer fields than the header has its text in the column MALFORMED.

        Args:
            in_lines: whether every line is a row, so that Spark may split a file.
        """
        schema = StructType([StructField(name, StringType()) for name in (*self.columns, MALFORMED)])
        dialect = self.header.dialect
        reader = reader_of(self.spark, self.files).options(
            header=self.files.place.settings.header,
            sep=dialect.separator,
            quote=dialect.quote,
            escape=dialect.escape,
            encoding=java_name(self.spark, self.files, dialect.encoding),
            multiLine=not in_lines,
            mode="PERMISSIVE",
            columnNameOfCorruptRecord=MALFORMED,
            maxCharsPerColumn=-1,
        )
        rows = (
            reader.schema(schema)
            .csv([literal(path) for path in self.paths])
            .withColumn(FILE, F.col("_metadata.file_path"))
        )
        # Spark refuses to read the text of malformed rows alone; this condition needs all columns.
        reads_all = F.octet_length(F.concat_ws("", *self.columns)) >= 0
        return rows.withColumn(MALFORMED, F.when(F.col(MALFORMED).isNotNull() & reads_all, F.col(MALFORMED)))

    def well_formed(self, in_lines: bool) -> int:
        """The number of well-formed rows, see :meth:`rows`."""
        return self.rows(in_lines).where(F.col(MALFORMED).isNull()).count()


def read_csv(spark: SparkSession, files: InputFiles, wanted: Collection[str]) -> tuple[list[Part], list[str]]:
    """Reads CSV files. Files with other columns, or in another order, become another part.

    Args:
        spark: the session.
        files: the input.
        wanted: names of columns that are looked for.

    Returns:
        The parts, and what was told from the files in words.

    Raises:
        UserError: the bytes of a file are not in the encoding, or the settings do not fit a file.
    """
    groups: dict[Header, list[InputFile]] = {}
    for file in files.files:
        header = _header_of(files, file, {name.casefold() for name in wanted})
        groups.setdefault(header, []).append(file)
    readers = [_checked(CsvReader(spark, files, header, tuple(group))) for header, group in groups.items()]
    told = sorted({reader.header.dialect.described() for reader, _ in readers})
    return [_part(reader, in_lines) for reader, in_lines in readers], told


def _header_of(files: InputFiles, file: InputFile, wanted: Collection[str]) -> Header:
    settings, section = files.place.settings, files.place.section
    encoding = encoding_of(file.head, settings.encoding)
    text = decoded(file.head, encoding)
    dialect = dialect_of(text, encoding, settings, wanted)
    first = dialect.fields(text)
    if settings.header:
        return Header(tuple(first), dialect, not any("\n" in name for name in first))
    if len(settings.columns) != len(first):
        raise files.error(
            f"its first row has {len(first)} fields, but {section}.columns names {len(settings.columns)}", file.path
        )
    return Header(tuple(settings.columns), dialect, True)


def _checked(reader: CsvReader) -> tuple[CsvReader, bool]:
    """The reader with the right escape, and whether every line is a row."""
    files, header = reader.files, reader.header
    if not header.in_one_line or header.dialect.encoding.startswith("utf-16"):
        return reader, False
    facts = line_facts(reader.spark, files, reader.group, header.dialect.quote)
    if header.dialect.encoding == UTF_8 and facts.undecodable is not None:
        raise undecodable_error(files, facts.undecodable)
    if not files.place.settings.escape:
        dialect = with_escape(header.dialect, facts.in_doubt, len(header.names))
        reader = replace(reader, header=replace(header, dialect=dialect))
    if not facts.open_lines.get(reader.header.dialect.escape, True):
        return reader, True
    # An open quote is a line break in a field, or a slip: then reading on would swallow good rows.
    return reader, reader.well_formed(in_lines=True) > reader.well_formed(in_lines=False)


def _part(reader: CsvReader, in_lines: bool) -> Part:
    nulls = reader.files.place.settings.nulls
    rows = reader.rows(in_lines)
    if reader.header.dialect.encoding != UTF_8:
        _refuse_replaced(reader, rows)
    fields = [
        Field(name, F.when(~F.col(place).isin(*nulls), F.col(place)) if nulls else F.col(place), StringType())
        for place, name in zip(reader.columns, reader.header.names, strict=True)
    ]
    own = {*reader.columns, MALFORMED, FILE}
    fields += [Field(f.name, F.col(sql_name(f.name)), f.dataType) for f in rows.schema.fields if f.name not in own]
    row = F.to_json(F.struct(*(field.column.alias(field.name) for field in fields)))
    return Part(rows, tuple(fields), row, reader.paths[0])


def _refuse_replaced(reader: CsvReader, rows: DataFrame) -> None:
    bad = rows.where(F.concat_ws("", *reader.columns).contains(REPLACED)).select(FILE).first()
    if bad is not None:
        named = reader.header.dialect.encoding
        section = reader.files.place.section
        raise reader.files.error(f"its bytes are not in {named}; set {section}.encoding to another", bad[0])
