"""Reads one input, whatever its format, and tells what was found."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import SparkSession

from lake.hadoop import HadoopFiles
from lake.inputs.csv_files import read_csv
from lake.inputs.failures import reading
from lake.inputs.files import InputFiles, Place, find_files
from lake.inputs.json_files import read_json
from lake.inputs.parquet_files import read_parquet
from lake.inputs.part import Part, lookalike, with_our_names
from lake.inputs.text_lines import refuse_undecodable
from lake.inputs.typed import part_of
from lake.inputs.values import is_id, is_time
from schemas.errors import UserError

log = logging.getLogger("qarm")


@dataclass(frozen=True, kw_only=True)
class Source:
    """An input that a job reads.

    Attributes:
        place: where it is and how its files are read.
        rename: name in the input to name of this project.
        needed: columns that every file must have.
        known: all columns that the job reads.
        ids: columns that hold ids.
        times: columns that hold times.
    """

    place: Place
    rename: Mapping[str, str]
    needed: Sequence[str]
    known: Sequence[str]
    ids: Sequence[str]
    times: Sequence[str] = ()


@dataclass(frozen=True)
class Input:
    """An input that is read.

    Attributes:
        source: where it is.
        files: its files.
        parts: its rows, with the names of this project.
        columns: names of its columns before they were renamed.
    """

    source: Source
    files: InputFiles
    parts: tuple[Part, ...]
    columns: tuple[str, ...]

    def refuse_undecodable(self) -> None:
        """Looks whether malformed rows are so because a file is in another encoding; call it if there are any.

        Raises:
            UserError: a file is not in UTF-8, and no other encoding was set.
        """
        if self.files.form == "json" and not self.source.place.settings.encoding:
            refuse_undecodable(self.parts[0].rows.sparkSession, self.files, self.files.files)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turns an error of a Spark action that cannot read a file into one of the user, with the file's name."""
        with reading(self.files):
            yield


def read_input(
    spark: SparkSession, source: Source, choose: Callable[[InputFiles], InputFiles] = lambda files: files
) -> Input:
    """Reads a file or folder; what is told from its files is logged in one line.

    Args:
        spark: the session.
        source: where the input is and how it is read.
        choose: returns those of the input's files that are to be read.

    Raises:
        UserError: the input cannot be read, or a needed column is missing; the message names the file and the way out.
    """
    files = choose(find_files(HadoopFiles(spark), source.place))
    _require_encoding(source.place)
    wanted = (*source.known, *source.rename)
    told: list[str] = []
    with reading(files):
        if files.form == "csv":
            parts, told = read_csv(spark, files, wanted)
        elif files.form == "json":
            parts, told = read_json(spark, files, wanted)
        elif files.form == "delta":
            parts = [part_of(spark.read.format("delta").load(files.base), files.base)]
        else:
            parts = read_parquet(spark, files)
    columns = tuple(dict.fromkeys(name for part in parts for name in part.names))
    named = tuple(_named(files, part, source) for part in parts)
    log.info("%s %s: %s", source.place.option, source.place.path, "; ".join(_told(files, named, told)))
    return Input(source, files, named, columns)


def _require_encoding(place: Place) -> None:
    named = place.settings.encoding
    try:
        codecs.lookup(named or "utf-8")
    except LookupError:
        raise UserError(
            f"{place.section}.encoding: there is no encoding {named}; set e.g. utf-8, latin-1 or cp1252"
        ) from None


def _told(files: InputFiles, parts: Sequence[Part], told: Sequence[str]) -> list[str]:
    """What was told from the files, in words."""
    count = f", {len(files.files)} files" if len(files.files) > 1 else ""
    words = [f"{files.form}{count}", *told]
    if len(parts) > 1:
        words.append(f"{len(parts)} kinds of files, matched by the names of their columns")
    renamed = dict.fromkeys(f"{a} is read as {b}" for part in parts for a, b in part.renamed.items())
    words += renamed
    if files.left_out:
        more = f" and {len(files.left_out) - 3} more" if len(files.left_out) > 3 else ""
        words.append(f"left out: {', '.join(files.left_out[:3])}{more}")
    return words


def _named(files: InputFiles, part: Part, source: Source) -> Part:
    try:
        named = with_our_names(part, source.known, source.rename)
    except ValueError as error:
        raise files.error(str(error), part.file) from None
    missing = [name for name in source.needed if name not in named.names]
    if missing:
        there = ", ".join(part.names[:20]) + (", …" if len(part.names) > 20 else "")
        hint = next((name for name in part.names if lookalike(name, missing) == missing[0]), None)
        way = f"map one with --rename {hint or 'theirs'}={missing[0]}"
        if files.form == "csv":
            section = source.place.section
            way += f"; if the file has no header, set {section}.header=false and {section}.columns"
        raise files.error(f"no column {', '.join(missing)} (it has {there}); {way}", part.file)
    for names, fits, what in ((source.ids, is_id, "id"), (source.times, is_time, "time")):
        for name in names:
            field = named.find(name)
            if field is not None and not fits(field.kind):
                raise files.error(f"column {name} is {field.kind.simpleString()}, which is no {what}", part.file)
    return named
