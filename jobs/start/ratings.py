"""Tells a column of ratings, or of ones and zeros, and from where on its values are positive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.start.column import Column
from lake.inputs.part import LOOKALIKES

RATINGS = ("rating", "ratings", "stars", "star", "score", "overall", "grade")

MOST_RATINGS = 21
"""Distinct values that a rating has at most: those from 0 to 10 in halves."""


@dataclass(frozen=True)
class Rating:
    """A column of ratings or of ones and zeros, which says whether an event is positive.

    Attributes:
        column: its name in the files.
        above: a value above this one is positive.
        least_positive: the least of the values that are.
        scale: the distinct values among those that were looked at, ascending.
    """

    column: str
    above: float
    least_positive: float
    scale: tuple[float, ...]

    @property
    def is_label(self) -> bool:
        """Whether the values are 1 and 0."""
        return set(self.scale) <= {0.0, 1.0}


def rating_of(columns: Sequence[Column], taken: Mapping[str, str]) -> Rating | None:
    """The column of a log that says how much a user liked an item, if the log has no actions.

    The upper 30 % of a scale count as liked: 4 and 5 of 1 to 5, 8 to 10 of 1 to 10. Of 0 and 1, 1 does.

    Args:
        columns: the columns.
        taken: columns that have a meaning already, each with its name in qarm.
    """
    if "action" in taken.values():
        return None
    for column in columns:
        names = column.is_called(RATINGS) or column.is_called(("label", *LOOKALIKES["label"]))
        if names and column.name not in taken and (scale := scale_of(column)):
            least = next(value for value in scale if value >= scale[0] + 0.7 * (scale[-1] - scale[0]))
            below = max(value for value in scale if value < least)
            return Rating(column.name, (below + least) / 2, least, scale)
    return None


def scale_of(column: Column) -> tuple[float, ...] | None:
    """The distinct values of a rating, ascending; None if the values are none of a scale."""
    numbers = column.numbers
    if not numbers or not 1 < column.distinct <= MOST_RATINGS:
        return None
    scale = tuple(sorted(set(numbers)))
    return scale if len(scale) > 1 and scale[0] >= 0 else None
