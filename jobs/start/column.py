"""A column of an input, as a look at it tells."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

TYPED = re.compile(r":(token|float|token_seq|float_seq)$")
"""Ending of a column's name in the files of RecBole, which tells its type."""

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

TRUTHS = {"true": 1.0, "false": 0.0}
"""What the values of a column of true and false count as."""


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case: ``addToCart`` and ``add_to_cart`` are add, to, cart."""
    return [word.lower() for word in WORD.findall(name)]


def number_of(text: str) -> float | None:
    """A value as a number, of which true is 1 and false is 0; None if it is none."""
    try:
        return float(TRUTHS.get(text.strip().lower(), text))
    except ValueError:
        return None


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
        return words_of(TYPED.sub("", self.name))

    @property
    def numbers(self) -> list[float] | None:
        """Its values as numbers, of which true is 1 and false is 0; None if one of them is none."""
        numbers = [number_of(value) for value in self.values]
        known = [number for number in numbers if number is not None]
        return known if len(known) == len(numbers) else None

    @property
    def has_truths(self) -> bool:
        """Whether it holds true or false."""
        return any(value.strip().lower() in TRUTHS for value in self.values)

    @property
    def plain_name(self) -> str:
        """Its name in lower case, without separators: ``movieTitle:token_seq`` is movietitle."""
        return "".join(letter for letter in TYPED.sub("", self.name).casefold() if letter.isalnum())

    def is_called(self, names: Collection[str]) -> bool:
        """Whether its name, or a word of it, is one of some names."""
        return self.plain_name in names or any(word in names for word in self.words)
