"""Tells from texts whether they are times, how they are written, and whether they carry a time zone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lake.inputs.values import A_NUMBER, A_TIME

ENOUGH = 0.9
"""Share of a column's values that must be times, so that the column can be one of times."""

ZONE = re.compile(r"([zZ]|UTC|GMT|\d[+-]\d{2}(:?\d{2})?)$")

EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp()

UNITS = (("seconds", 1.0), ("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9))

PATTERNS = (
    ("yyyyMMdd", "%Y%m%d", r"\d{8}"),
    ("yyyyMMddHHmmss", "%Y%m%d%H%M%S", r"\d{14}"),
    ("yyyy/MM/dd HH:mm:ss", "%Y/%m/%d %H:%M:%S", None),
    ("yyyy/MM/dd HH:mm", "%Y/%m/%d %H:%M", None),
    ("yyyy/MM/dd", "%Y/%m/%d", None),
    *(
        (f"{spark}{clock}", f"{python}{python_clock}", None)
        for spark, python in (
            ("dd/MM/yyyy", "%d/%m/%Y"),
            ("MM/dd/yyyy", "%m/%d/%Y"),
            ("dd.MM.yyyy", "%d.%m.%Y"),
            ("dd-MM-yyyy", "%d-%m-%Y"),
        )
        for clock, python_clock in ((" HH:mm:ss", " %H:%M:%S"), (" HH:mm", " %H:%M"), ("", ""))
    ),
)
"""Patterns of times in Spark's notation and in Python's, and what the whole text looks like, where digits need it."""


@dataclass(frozen=True)
class TimeForm:
    """How the times of a column are written.

    Attributes:
        pattern: Spark's pattern; "" where qarm reads the times without one.
        words: the form in words.
        zone: whether the texts carry a time zone.
    """

    pattern: str
    words: str
    zone: bool = False


def time_form(values: Sequence[str]) -> TimeForm | None:
    """How times are written; None if the values are no times.

    A number is a time if it lies between 1990 and 2100 in seconds, milli-, micro- or nanoseconds since 1970.

    Args:
        values: texts of one column, without nulls.
    """
    texts = [value.strip() for value in values]
    if not texts:
        return None
    iso = [text for text in texts if re.match(A_TIME, text)]
    if _enough(len(iso), texts):
        zone = any(ZONE.search(text) for text in iso if len(text) > len("2020-01-01"))
        return TimeForm("", "ISO 8601 with a time zone" if zone else "ISO 8601 without a time zone", zone)
    fits = [
        pattern
        for pattern, python, shape in PATTERNS
        if _enough(sum(_fits(text, python, shape) for text in texts), texts)
    ]
    if fits:
        also = f" ({fits[1]} would fit too)" if len(fits) > 1 else ""
        return TimeForm(fits[0], f"{fits[0]}{also}")
    numbers = [float(text) for text in texts if re.match(A_NUMBER, text)]
    for unit, factor in UNITS:
        if _enough(sum(EARLIEST <= number / factor <= LATEST for number in numbers), texts):
            return TimeForm("", f"{unit} since 1970, which are UTC", True)
    return None


def _enough(count: int, texts: Sequence[str]) -> bool:
    return count >= ENOUGH * len(texts) and count > 0


def _fits(text: str, pattern: str, shape: str | None) -> bool:
    if shape is not None and not re.fullmatch(shape, text):
        return False
    try:
        return EARLIEST <= datetime.strptime(text, pattern).replace(tzinfo=UTC).timestamp() <= LATEST
    except ValueError:
        return False
