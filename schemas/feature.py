"""The classes by which a feature of a ranking example is declared."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from schemas.contract import Column, Part

BUCKETS = 16
"""Number of buckets of time gaps and of positions. Each is twice as wide as the one before it; 0 is padding."""


NOT_OF_TARGETS = ("label_", "recent_", "found_", "event_")
"""Prefixes of columns that are no features of the target; a feature's name must not begin with one."""


class Reads(Enum):
    """How the ranker's head reads a feature."""

    AS_IS = "as is"
    """The numbers themselves."""
    LOG1P = "log1p"
    """log(1 + x) of counts and sums."""
    CATEGORY = "category"
    """An embedding for each of ``Feature.values`` values."""
    BUCKET = "bucket"
    """An embedding for each of :data:`BUCKETS` buckets."""
    ID = "id"
    """A row of the embedding tables of items and codes, which the history's events read too."""


ZERO = {
    Reads.AS_IS: "a measure of 0, also where there is nothing to measure",
    Reads.LOG1P: "none",
    Reads.CATEGORY: "the first value",
    Reads.BUCKET: "there is no such event",
    Reads.ID: "none: row 0 of the embedding table is all 0",
}
"""What a 0 of a feature means, by how the head reads it."""


@dataclass(frozen=True, kw_only=True)
class CountBefore:
    """A count over all users' positive events on the days before an example; Spark makes it.

    Attributes:
        what: ``events``: positive events; ``takers``: users, counted on the day of their first event; ``age``: days
            since the first event; ``idle``: days since the last event.
        key: ``item`` counts events on the target; ``sid`` counts events on all items with the target's semantic ID.
        days: number of days before the example's day that are counted; None for all.
    """

    what: Literal["events", "takers", "age", "idle"]
    key: Literal["item", "sid"]
    days: int | None = None


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of ``ranker_examples`` that describes the target. A feature is declared only once, as this class.

    A function of the same name under ``models/ranker/examples`` computes the feature; jobs/examples/popularity.py
    computes those with a ``count``.

    Attributes:
        name: name of the column and of the function.
        type: type of each number.
        comment: what the column holds. It is stored in the table and must be understood without other comments.
        reads: how the ranker's head reads the feature.
        switch: setting under ``[ranker.use]`` that turns the feature on; None if every ranker reads it.
        parts: names and comments of a STRUCT's fields; empty for a column of another type.
        width: length of an ARRAY, 0 if a setting decides it; None for a column of another type.
        values: number of values of a category; 0 for other features.
        tells_presence: whether the head also reads a flag that is 1 if any of the numbers is not 0.
        of_user: whether all candidates of a user at one moment have the same value.
        count: what is counted over all users; None if a function computes the feature.

    Raises:
        ValueError: the feature has both parts and a width, its ``values`` do not fit ``reads``, or its name begins with
            one of :data:`NOT_OF_TARGETS`.
    """

    name: str
    type: Literal["INT", "FLOAT"]
    comment: str
    reads: Reads
    switch: str | None = None
    parts: tuple[tuple[str, str], ...] = ()
    width: int | None = None
    values: int = 0
    tells_presence: bool = False
    of_user: bool = False
    count: CountBefore | None = None

    def __post_init__(self) -> None:
        if self.name.startswith(NOT_OF_TARGETS):
            raise ValueError(
                f"feature {self.name}: names that begin with {', '.join(NOT_OF_TARGETS)} are reserved; rename it"
            )
        if self.parts and self.width is not None:
            raise ValueError(f"feature {self.name}: parts make a STRUCT and width makes an ARRAY; give one of them")
        if (self.reads is Reads.CATEGORY) != bool(self.values):
            raise ValueError(f"feature {self.name}: values must be given for a category, and only for a category")

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of a STRUCT's fields, in the order of the columns of its matrix."""
        return tuple(name for name, _ in self.parts)

    @property
    def zero(self) -> str:
        """What a 0 means, for who makes the column outside of qarm."""
        return ZERO[self.reads]

    @property
    def column(self) -> Column:
        """The column of ``ranker_examples``."""
        parts = tuple(Part(name, self.type, comment) for name, comment in self.parts)
        of_parts = ", ".join(f"{part.name}: {part.type}" for part in parts)
        kind = f"STRUCT<{of_parts}>" if parts else self.type if self.width is None else f"ARRAY<{self.type}>"
        return Column(self.name, kind, self.comment, nullable=False, parts=parts)

    @property
    def numbers(self) -> int:
        """How many numbers the head reads; 0 for a feature that is embedded."""
        if self.reads not in (Reads.AS_IS, Reads.LOG1P):
            return 0
        return (len(self.parts) or self.width or 1) + self.tells_presence


@dataclass(frozen=True, kw_only=True)
class Switch:
    """A part of the ranker that the setting ``ranker.use.<name>`` turns on or off.

    Attributes:
        name: name of the setting.
        comment: what the ranker reads by it; conf/default.toml holds the same text.
        default: whether the part is on by default.
        needs: another switch that must be on, or this one has no effect.
    """

    name: str
    comment: str
    default: bool = True
    needs: str | None = None
