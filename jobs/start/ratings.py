"""Tells a column of ratings, or of ones and zeros, and from where on its values are positive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.start.column import Column, number_of
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
        scale: the distinct values, ascending.
    """

    column: str
    above: float
    least_positive: float
    scale: tuple[float, ...]

    @property
    def is_label(self) -> bool:
        """Whether the values are 1 and 0."""
        return set(self.scale) <= {0.0, 1.0}


def rating_of(
    columns: Sequence[Column], taken: Mapping[str, str], said: Mapping[str, str], above: float | None = None
) -> Rating | None:
    """The column of a log that says how much a user liked an item: what the user calls label, else one called so.

    A log with actions has none, unless the user has named it.

    The upper 30 % of a scale count as liked: 4 and 5 of 1 to 5, 8 to 10 of 1 to 10. Of 0 and 1, 1 does.

    Args:
        columns: the columns.
        taken: columns that have a meaning already, each with its name in qarm.
        said: what the user has said about columns, by their names in the files.
        above: a value above this one is positive, as the user has said; None to choose.
    """
    for column in columns:
        if said.get(column.name) == "label" and (values := _values(column)):
            return _rating(column, values, above)
    if "action" in taken.values():
        return None
    for column in columns:
        names = column.is_called(RATINGS) or column.is_called(("label", *LOOKALIKES["label"]))
        if names and column.name not in taken and (scale := scale_of(column)):
            return _rating(column, scale, above)
    return None


def _rating(column: Column, scale: tuple[float, ...], above: float | None) -> Rating:
    if above is not None:
        return Rating(column.name, above, next((value for value in scale if value > above), above), scale)
    least = next(value for value in scale if value >= scale[0] + 0.7 * (scale[-1] - scale[0]))
    below = max(value for value in scale if value < least)
    return Rating(column.name, (below + least) / 2, least, scale)


def scale_of(column: Column) -> tuple[float, ...] | None:
    """The distinct values of a rating, ascending; None if the values are none of a scale."""
    scale = _values(column) if 1 < column.distinct <= MOST_RATINGS else None
    return scale if scale is not None and scale[0] >= 0 else None


def _values(column: Column) -> tuple[float, ...] | None:
    """The distinct values of a column of numbers, ascending; None if they are no numbers, or all the same.

    Only some values are known, and in a file that is sorted by them they are few; the least and the greatest one are
    of all rows. The whole numbers between them stand for those that were not seen.
    """
    numbers = column.numbers
    if not numbers:
        return None
    ends = [number for text in (column.least, column.most) if text and (number := number_of(text)) is not None]
    seen = {value for value in (*numbers, *ends) if math.isfinite(value)}
    if len(seen) < column.distinct and seen and max(seen) - min(seen) < MOST_RATINGS:
        seen |= {float(value) for value in range(math.ceil(min(seen)), math.floor(max(seen)) + 1)}
    return tuple(sorted(seen)) if len(seen) > 1 else None
