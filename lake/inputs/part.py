"""Rows of files that have the same columns, and the names that this project uses for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

MALFORMED = "_qarm_malformed"
"""Column of :attr:`Part.rows`: the text of a row that is malformed, else null. Formats with types lack it."""


@dataclass(frozen=True)
class Field:
    """One column of an input.

    Attributes:
        name: its name, in the input or, after :func:`with_our_names`, in this project.
        column: its values.
        kind: its type.
        seen: whether the input is known to have it; False for a key that later rows of a JSON file may have.
    """

    name: str
    column: Column
    kind: DataType
    seen: bool = True


@dataclass(frozen=True)
class Part:
    """Rows of files that have the same columns.

    Attributes:
        rows: the rows; the columns of ``fields``, ``row`` and ``held`` refer to it.
        fields: the columns.
        row: a row as JSON.
        file: path of one of the files, for messages.
        held: in a format whose rows need not have the same keys, all keys and texts of a row as a map; else None.
        renamed: keys of ``held`` with their new names.
    """

    rows: DataFrame
    fields: tuple[Field, ...]
    row: Column
    file: str
    held: Column | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the columns that the input is known to have."""
        return [field.name for field in self.fields if field.seen]

    @property
    def may_be_malformed(self) -> bool:
        """Whether the format lets rows be malformed."""
        return MALFORMED in self.rows.columns

    @property
    def malformed(self) -> Column:
        """The text of a row that is malformed; null for the others."""
        return F.col(MALFORMED) if self.may_be_malformed else F.lit(None).cast("string")

    def find(self, name: str) -> Field | None:
        """The column of a name; None if there is none."""
        return next((field for field in self.fields if field.name == name), None)

    def needed(self, name: str) -> Field:
        """The column of a name that every input must have, which :mod:`lake.inputs.reading` has checked."""
        return next(field for field in self.fields if field.name == name)


def folded(name: str) -> str:
    """A name without regard to case and surrounding blanks."""
    return name.strip().casefold()


def with_our_names(part: Part, ours: Collection[str], rename: Mapping[str, str]) -> Part:
    """Gives columns the names of this project: by ``--rename``, by their name, or by their name in another case.

    A rename is skipped if its column is missing, or if the new name exists already: renames are shared by two inputs.

    Args:
        part: rows of an input.
        ours: names that this project reads.
        rename: name in the input to new name.

    Raises:
        ValueError: two columns have a name that this project reads; the message names them.
    """
    exact = Counter(part.names)
    new = {a: b for a, b in rename.items() if a in exact and (b not in exact or b in rename)}
    taken = {*new.values(), *(name for name in part.names if name not in new)}
    for name in ours:
        alike = [other for other in exact if folded(other) == name and other not in new]
        if name not in taken and len(alike) > 1:
            raise ValueError(f"columns {' and '.join(sorted(alike))} differ only in case; rename one of them")
        if name not in taken and alike:
            new[alike[0]] = name
    named = [replace(field, name=new.get(field.name, field.name)) for field in part.fields]
    seen = {field.name for field in named if field.seen}
    fields = tuple(field for field in named if field.seen or field.name not in seen)
    twice = sorted(name for name, count in Counter(f.name for f in fields).items() if count > 1 and name in ours)
    if twice:
        raise ValueError(f"two columns are called {twice[0]}; rename or remove one of them")
    return replace(part, fields=fields, renamed=new)


LOOKALIKES = {
    "user_id": ("user", "uid", "visitor", "visitorid", "customer", "customerid", "household", "householdid",
                "member", "memberid", "session", "sessionid", "reviewerid", "buyer", "buyerid", "account", "accountid"),
    "item_id": ("item", "iid", "product", "productid", "sku", "asin", "movie", "movieid", "article",
                "articleid", "video", "videoid", "book", "bookid", "isbn", "parentasin", "goodsid", "merchandiseid"),
    "event_time": ("time", "timestamp", "ts", "date", "datetime", "eventdate", "eventtimestamp",
                   "createdat", "occurredat", "unixtime", "unixreviewtime", "day", "timems"),
    "action": ("event", "eventtype", "eventname", "type", "behavior", "behaviour", "behaviortype", "actiontype",
               "interaction", "interactiontype"),
    "weight": ("rating", "quantity", "qty", "count", "score", "amount", "stars", "units"),
    "label": ("target", "isclick", "clicked", "click", "islike", "purchased"),
    "title": ("name", "producttitle", "itemtitle", "productname", "itemname", "displayname", "producttype"),
    "category": ("categories", "genre", "genres", "department", "maincategory", "producttypename", "class"),
    "description": ("desc", "text", "summary", "overview", "detaildesc", "body", "abstract"),
}  # fmt: skip
"""Common names, in lower case and without separators, of what this project calls otherwise."""


def lookalike(name: str, ours: Collection[str]) -> str | None:
    """The name of this project that another name probably means; None if there is none."""
    plain = "".join(letter for letter in name.casefold() if letter.isalnum())
    for own in ours:
        if plain == own.replace("_", "") or plain in LOOKALIKES.get(own, ()):
            return own
    return None
