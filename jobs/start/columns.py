"""Guesses which columns of a log and of a catalogue mean what, from their names, types and some values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from jobs.start.column import Column
from jobs.start.ratings import RATINGS
from jobs.start.times import TimeForm, time_form
from lake.inputs.part import LOOKALIKES

A_FRACTION = re.compile(r"[+-]?\d*\.\d*[1-9]\d*")

MOST_ACTIONS = 50
"""Distinct values that a column of actions has at most."""

ID_WORDS = {"id", "ids", "code", "key", "no", "nr", "number"}
"""One of these words makes an id of a name such as ``product_id``; ``product_name`` is none."""

LONGEST_ID = 64

SAID = "--rename says so"


@dataclass(frozen=True)
class Guess:
    """What a column is read as.

    Attributes:
        theirs: its name in the files.
        ours: its name in qarm.
        why: why, in words.
    """

    theirs: str
    ours: str
    why: str


class MissingColumnError(Exception):
    """No column of an input can be what is needed; its text is the name of ours, in words."""


def guess_log(columns: Sequence[Column], said: Mapping[str, str], catalogue: Collection[str] = ()) -> list[Guess]:
    """What the columns of a log are.

    Args:
        columns: the columns.
        said: what the user has said about columns, by their names in the files.
        catalogue: some values of the catalogue's columns, to know the item by where no name tells it.

    Raises:
        MissingColumnError: no column can be the user, the item or the time.
    """
    left = _Left(list(columns), said)
    time = left.needed("event_time", can_be_time, by_value=_by_times)
    item = left.needed("item_id", _can_be_id, by_value=lambda rest: _by_common_values(rest, catalogue))
    user = left.needed("user_id", _can_be_id, by_value=_by_repeats)
    action = left.find("action", lambda column: 1 < column.distinct <= MOST_ACTIONS)
    weight = left.find("weight", _can_be_weight)
    return [*(guess for guess in (user, item, time, action, weight) if guess is not None), *left.rest_of_said()]


def guess_catalogue(columns: Sequence[Column], said: Mapping[str, str], item: Guess) -> list[Guess]:
    """What the columns of a catalogue are.

    Args:
        columns: the columns.
        said: what the user has said about columns, by their names in the files.
        item: the item of the log, whose column has the same name in many catalogues.

    Raises:
        MissingColumnError: no column can be the item or its title.
    """
    same = {item.theirs: "item_id"} if "item_id" not in said.values() else {}
    left = _Left(list(columns), {**said, **same}, "it is called as in the log" if same else SAID)
    found = left.needed("item_id", _can_be_id, by_value=_by_bare_id)
    left.why = SAID
    title = left.needed("title", lambda column: column.distinct > 1, by_value=_by_text)
    others = (left.find(ours, lambda column: column.distinct > 1) for ours in ("category", "description"))
    return [found, title, *(guess for guess in others if guess is not None), *left.rest_of_said()]


def time_of(columns: Sequence[Column], guesses: Iterable[Guess]) -> TimeForm | None:
    """How the times of a log are written."""
    name = next(guess.theirs for guess in guesses if guess.ours == "event_time")
    return time_form(next(column.values for column in columns if column.name == name))


@dataclass
class _Left:
    """The columns that have no meaning yet; a guess takes one out.

    Attributes:
        columns: the columns.
        said: names of ours by names in the files, which go before any guess.
        why: why they do.
    """

    columns: list[Column]
    said: Mapping[str, str]
    why: str = SAID

    def needed(
        self, ours: str, fits: Callable[[Column], bool], by_value: Callable[[list[Column]], Guess | None]
    ) -> Guess:
        """The guess by name, else by value.

        Raises:
            MissingColumnError: no column fits.
        """
        guess = self.find(ours, fits) or by_value(self.columns)
        if guess is None:
            raise MissingColumnError(ours)
        self.columns = [column for column in self.columns if column.name != guess.theirs]
        return guess

    def find(self, ours: str, fits: Callable[[Column], bool]) -> Guess | None:
        """The guess by what the user said, else by the column's name; None if no column is called so."""
        given = [column for column in self.columns if self.said.get(column.name) == ours]
        ranked = [
            (rank, column)
            for column in self.columns
            if column.name not in self.said and (rank := _rank(column, ours)) is not None and fits(column)
        ]
        if not given and not ranked:
            return None
        rank, best = ((-1, 0), given[0]) if given else min(ranked, key=lambda pair: pair[0])
        self.columns = [column for column in self.columns if column is not best]
        whys = {(-1, 0): self.why, (0, 0): "it is called so"}
        return Guess(best.name, ours, whys.get(rank, "its name says so"))

    def rest_of_said(self) -> list[Guess]:
        """What the user has said about the columns that are left."""
        return [Guess(column.name, self.said[column.name], SAID) for column in self.columns if column.name in self.said]


def _rank(column: Column, ours: str) -> tuple[int, int] | None:
    """How well a name fits one of ours, lower is better: the same, a common name for it, a word of one; None: not."""
    aliases = (ours.replace("_", ""), *LOOKALIKES[ours], *(word for word in ours.split("_") if word != "id"))
    if column.plain_name in aliases:
        return 0, aliases.index(column.plain_name)
    places = [aliases.index(word) for word in column.words if word in aliases]
    if places and (not ours.endswith("_id") or not ID_WORDS.isdisjoint(column.words)):
        return 1, min(places)
    return None


def can_be_time(column: Column) -> bool:
    """Whether the values of a column are times."""
    return time_form(column.values) is not None


def _can_be_id(column: Column) -> bool:
    short = all(len(value) <= LONGEST_ID for value in column.values)
    return column.distinct > 1 and short and not any(A_FRACTION.fullmatch(value) for value in column.values)


def _can_be_weight(column: Column) -> bool:
    numbers = column.numbers or [-1.0]
    return min(numbers) >= 0 and not column.has_truths and not column.is_called(RATINGS)


def _by_times(left: list[Column]) -> Guess | None:
    times = [column for column in left if can_be_time(column)]
    return Guess(times[0].name, "event_time", "its values are times") if times else None


def _by_common_values(left: list[Column], catalogue: Collection[str]) -> Guess | None:
    known = set(catalogue)
    shares = {c.name: sum(v in known for v in c.values) / len(c.values) for c in left if c.values and _can_be_id(c)}
    best = max(shares, key=lambda name: shares[name], default=None)
    if best is None or shares[best] < 0.1:
        return None
    return Guess(best, "item_id", "its values are in the catalogue too")


def _by_repeats(left: list[Column]) -> Guess | None:
    ids = [c for c in left if _can_be_id(c) and MOST_ACTIONS < c.distinct < 0.9 * (c.rows - c.nulls)]
    if not ids:
        return None
    best = max(ids, key=lambda column: column.distinct)
    return Guess(best.name, "user_id", f"each of its {best.distinct:,} values is on several rows, as users are")


def _by_bare_id(left: list[Column]) -> Guess | None:
    unique = [c for c in left if _can_be_id(c) and "id" in c.words and c.distinct >= 0.9 * (c.rows - c.nulls)]
    return Guess(unique[0].name, "item_id", "it is an id, and another one in each row") if unique else None


def _by_text(left: list[Column]) -> Guess | None:
    texts = [c for c in left if c.values and sum(" " in value.strip() for value in c.values) >= 0.3 * len(c.values)]
    if not texts:
        return None
    best = max(texts, key=lambda column: column.distinct)
    return Guess(best.name, "title", f"it holds words, and {best.distinct:,} different ones")
