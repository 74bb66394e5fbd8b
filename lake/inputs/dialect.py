"""How a CSV file separates and quotes its fields, told from its beginning."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from schemas.sections import FileSettings

SEPARATORS = (",", "\t", ";", "|")

NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", " ": "blank"}

MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""Byte order marks, and the encodings that they tell."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        separator: text between fields.
        quote: character around fields that hold separators or line breaks.
        escape: character before a quote that is part of a field; equal to ``quote`` if quotes are doubled.
        encoding: name of the encoding.
    """

    separator: str
    quote: str
    escape: str
    encoding: str

    def fields(self, text: str, strict: bool = False) -> list[str]:
        """The fields of the first row of a text.

        Raises:
            csv.Error: ``strict``, and a quote is at a place where it cannot be.
        """
        doubled = self.escape == self.quote
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=self.separator, quotechar=self.quote, doublequote=doubled,
            escapechar=None if doubled else self.escape, strict=strict,
        )  # fmt: skip
        return next(reader, [])

    def described(self) -> str:
        """The dialect in words."""
        quotes = "doubled quotes" if self.escape == self.quote else f"quotes escaped by {self.escape}"
        return f"{NAMES.get(self.separator, self.separator)}-separated, {quotes}, {self.encoding}"


def encoding_of(head: bytes, named: str) -> str:
    """The encoding of a file by its name in Python: as named, by its byte order mark, or UTF-8.

    Raises:
        LookupError: there is no encoding of the name.
    """
    if named:
        return codecs.lookup(named).name
    return next((encoding for mark, encoding in MARKS.items() if head.startswith(mark)), "utf-8")


def decoded(head: bytes, encoding: str) -> str:
    """The beginning of a file as text, without a byte order mark; a character that is cut off at its end is left out.

    Raises:
        LookupError: there is no such encoding.
    """
    return head.decode(encoding, errors="ignore").removeprefix("\ufeff")


def dialect_of(text: str, encoding: str, settings: FileSettings, wanted: Collection[str]) -> Dialect:
    """Tells the separator of a CSV file: the one by which its first row holds the most wanted names.

    If it holds none of them, the separator that gives the most fields counts.

    Args:
        text: the beginning of the file.
        encoding: its encoding.
        settings: what the user has set; it takes precedence.
        wanted: names of columns that are looked for, in lower case.
    """
    quote = settings.quote
    found = Dialect(settings.separator or ",", quote, settings.escape or quote, encoding)
    if settings.separator:
        return found
    choices = [replace(found, separator=separator) for separator in SEPARATORS]

    def fitness(choice: Dialect) -> tuple[int, int]:
        names = [name.strip().casefold() for name in choice.fields(text)]
        return sum(name in wanted for name in names), len(names)

    return max(choices, key=fitness)


def with_escape(dialect: Dialect, lines: Sequence[str], fields: int) -> Dialect:
    """Tells whether a quote within a field is doubled or follows a backslash.

    Args:
        dialect: the dialect with doubled quotes.
        lines: lines in which a quote follows a backslash.
        fields: number of fields of a row.
    """
    backslash = replace(dialect, escape="\\")
    well_formed = [sum(_fits(choice, line, fields) for line in lines) for choice in (dialect, backslash)]
    return backslash if well_formed[1] > well_formed[0] else dialect


def _fits(dialect: Dialect, line: str, fields: int) -> bool:
    try:
        return len(dialect.fields(line, strict=True)) == fields
    except csv.Error:
        return False
