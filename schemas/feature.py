"""What the declaration of a feature of a ranking example says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from schemas.contract import Column, Part

BUCKETS = 16
"""Of time gaps and of positions, each twice as wide as the one before; 0 is padding."""


NOT_OF_TARGETS = ("label_", "recent_", "found_", "event_")
"""How the names of other columns begin."""


class Reads(Enum):
    """How the ranker's head reads a feature."""

    AS_IS = "as is"
    """Numbers as they are."""
    LOG1P = "log1p"
    """Counts and sums, as the logarithm of 1 and the number."""
    CATEGORY = "category"
    """An embedding of each of ``Feature.values`` values."""
    BUCKET = "bucket"
    """An embedding of each of :data:`BUCKETS` buckets."""
    ID = "id"
    """By the tables of items and codes, which events share."""


@dataclass(frozen=True, kw_only=True)
class CountBefore:
    """A count over all users' positive events on the days before an example, made on the cluster.

    Attributes:
        what: ``events``; ``takers``, users on the day of their first event; ``age``, days since the first event;
            ``idle``, days since the last one.
        key: whose events: those on the target ``item``, or on all items of the target's ``sid``.
        days: before the example's day that count; None for all.
    """

    what: Literal["events", "takers", "age", "idle"]
    key: Literal["item", "sid"]
    days: int | None = None


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of ``ranker_examples`` that says something of a target: declared here, and nowhere else.

    A function of the same name under ``models/ranker/examples`` computes it, or jobs/examples/popularity.py where
    ``count`` is given.

    Attributes:
        name: of the column and of the function.
        type: of its numbers.
        comment: what it holds, to be understood alone.
        reads: how the ranker's head reads it.
        switch: name of the setting under ``[ranker.use]`` that turns it on; None where every ranker reads it.
        parts: a STRUCT's; none for a column of another type.
        width: numbers of an ARRAY, 0 where a setting says how many; None where it is no ARRAY.
        values: of a category.
        tells_presence: whether the head also reads if any of the numbers is not 0.
        of_user: whether all candidates of a user at one moment have the same.
        count: what is counted over all users; None where a function computes it.

    Raises:
        ValueError: it is both STRUCT and ARRAY, a category without its number of values, or its name begins as that of
            a label or of a history's column.
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
            raise ValueError(f"feature {self.name}: names that begin with {', '.join(NOT_OF_TARGETS)} are others'")
        if self.parts and self.width is not None:
            raise ValueError(f"feature {self.name}: a STRUCT has parts, an ARRAY a width; give one of them")
        if (self.reads is Reads.CATEGORY) != bool(self.values):
            raise ValueError(f"feature {self.name}: values says how many a category has, and only there")

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of a STRUCT's parts, in the order of the columns of its matrix."""
        return tuple(name for name, _ in self.parts)

    @property
    def column(self) -> Column:
        """The column of ``ranker_examples``."""
        parts = tuple(Part(name, self.type, comment) for name, comment in self.parts)
        of_parts = ", ".join(f"{part.name}: {part.type}" for part in parts)
        kind = f"STRUCT<{of_parts}>" if parts else self.type if self.width is None else f"ARRAY<{self.type}>"
        return Column(self.name, kind, self.comment, nullable=False, parts=parts)

    @property
    def numbers(self) -> int:
        """Numbers that the head reads of it; 0 where it is embedded."""
        if self.reads not in (Reads.AS_IS, Reads.LOG1P):
            return 0
        return (len(self.parts) or self.width or 1) + self.tells_presence


@dataclass(frozen=True, kw_only=True)
class Switch:
    """A part of the ranker that a setting turns on or off, ``ranker.use.<name>``.

    Attributes:
        name: of the setting.
        comment: what the ranker knows by it, as conf/default.toml says it.
        default: whether it is on.
        needs: a switch without which this one does nothing.
    """

    name: str
    comment: str
    default: bool = True
    needs: str | None = None
