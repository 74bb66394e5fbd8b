"""A column of an input, as a look at it tells."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

TYPED = re.compile(r":(token|float|token_seq|float_seq)$")
"""Ending of a column's name in the files of RecBole, which tells its type."""

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of an input, as a look at it tells.

    Attributes:
        name: its name in the files.
        kind: its type, in words.
        rows: rows of the input.
        nulls: rows without a value.
        distinct: distinct values, roughly.
        least: its least value, as text; None if it has none.
        most: its greatest value, as text.
        values: some of its values, as text.
    """

    name: str
    kind: str
    rows: int
    nulls: int
    distinct: int
    least: str | None
    most: str | None
    values: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """The words of its name, in lower case: ``movieTitle:token_seq`` is movie, title."""
        return [word.lower() for word in WORD.findall(TYPED.sub("", self.name))]

    @property
    def numbers(self) -> list[float] | None:
        """Its values as numbers; None if one of them is none."""
        try:
            return [float(value) for value in self.values]
        except ValueError:
            return None

    @property
    def plain_name(self) -> str:
        """Its name in lower case, without separators: ``movieTitle:token_seq`` is movietitle."""
        return "".join(letter for letter in TYPED.sub("", self.name).casefold() if letter.isalnum())

    def is_called(self, names: Collection[str]) -> bool:
        """Whether its name, or a word of it, is one of some names."""
        return self.plain_name in names or any(word in names for word in self.words)
