"""Looks at the columns of an input: types, ranges, nulls, distinct values and some of the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType

from jobs.start.column import Column
from jobs.start.columns import can_be_time
from lake.hadoop import HadoopFiles
from lake.inputs.files import Place, find_files
from lake.inputs.part import Field, Part
from lake.inputs.reading import Input, Source, read_input
from lake.inputs.values import as_text
from schemas.contract import sql_name
from schemas.errors import UnknownFormatError

SAMPLE = 2_000
"""Rows whose values are looked at on the driver."""

MOST_COLUMNS = 60
"""Columns that are looked at; wider inputs are attributes from there on."""

LONGEST = 200
"""Characters of a value that are looked at."""


def with_format(spark: SparkSession, place: Place) -> Place:
    """The place with the format of its files; where their endings tell none, what they begin with does.

    Raises:
        UserError: the files cannot be read.
    """
    system = HadoopFiles(spark)
    try:
        return replace(place, form=find_files(system, place).form)
    except UnknownFormatError:
        text = find_files(system, replace(place, form="csv")).files[0].head.lstrip()
        return replace(place, form="json" if text.startswith((b"{", b"[")) else "csv")


def look_at(spark: SparkSession, place: Place) -> list[Column]:
    """Reads an input under the names of its own, and looks at its columns; all rows are read once.

    Driver memory: :data:`SAMPLE` rows of :data:`MOST_COLUMNS` short values.

    Raises:
        UserError: the input cannot be read, or has no rows.
    """
    read = read_input(spark, Source(place=place, rename={}, needed=(), known=(), ids=()))
    with read.reading():
        columns = _columns(read)
    if not columns or not columns[0].rows:
        raise place.error("the input has no rows")
    headerless = [column.name for column in columns if column.name.strip()]
    if read.files.form == "csv" and place.settings.header and headerless and all(map(_is_value, headerless)):
        raise place.error(
            f"its first row is {', '.join(headerless)}, which are values and no names; name the columns with --set"
            f" {place.section}.header=false --set '{place.section}.columns=[\"user_id\", …]'"
        )
    return columns


def _is_value(name: str) -> bool:
    return name.replace(".", "", 1).lstrip("+-").isdigit()


def _columns(read: Input) -> list[Column]:
    rows = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), map(_texts, read.parts))
    names = rows.columns
    kinds = {f.name: "text" if isinstance(f.kind, StringType) else f.kind.simpleString() for f in _fields(read.parts)}
    measured = [F.count("*").alias("rows")]
    for place, name in enumerate(names):
        text = F.col(sql_name(name))
        number = text.try_cast("double")
        measured += [
            F.count(text).alias(f"some_{place}"),
            F.approx_count_distinct(text, 0.02).alias(f"distinct_{place}"),
            F.min(text).alias(f"min_{place}"),
            F.max(text).alias(f"max_{place}"),
            F.count(number).alias(f"numbers_{place}"),
            F.min(F.struct(number.alias("n"), text.alias("t")))["t"].alias(f"least_{place}"),
            F.max(F.struct(number.alias("n"), text.alias("t")))["t"].alias(f"most_{place}"),
        ]
    facts = rows.agg(*measured).collect()[0]
    sample = rows.limit(SAMPLE).collect()
    found = []
    for place, name in enumerate(names):
        some = facts[f"some_{place}"]
        numeric = some > 0 and facts[f"numbers_{place}"] == some
        ends = ("least", "most") if numeric else ("min", "max")
        column = Column(
            name=name,
            kind=kinds[name],
            rows=facts["rows"],
            nulls=facts["rows"] - some,
            distinct=min(facts[f"distinct_{place}"], some),
            least=facts[f"{ends[0]}_{place}"],
            most=facts[f"{ends[1]}_{place}"],
            values=tuple(row[place] for row in sample if row[place] is not None),
        )
        found.append(replace(column, kind=_kind(column, numeric)))
    return found


def _kind(column: Column, numeric: bool) -> str:
    if column.kind != "text":
        return column.kind
    if can_be_time(column):
        return "time, as text"
    return "number, as text" if numeric else "text"


def _fields(parts: Sequence[Part]) -> list[Field]:
    seen = {field.name: field for part in parts for field in part.fields if field.seen}
    return list(seen.values())


def _texts(part: Part) -> DataFrame:
    shown = [field for field in part.fields if field.seen and not isinstance(field.kind, BinaryType)][:MOST_COLUMNS]
    return part.rows.select(
        *(F.substring(as_text(field.column, field.kind), 1, LONGEST).alias(field.name) for field in shown)
    )
