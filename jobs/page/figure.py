"""A figure of the page: what the browser draws, and the same in words and in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure.

    Attributes:
        name: its id on the page.
        title: its heading.
        alt: what it shows, for people who do not see it.
        kind: how it is drawn, a function of ``draw`` in report.js.
        data: what is drawn, as JSON.
        columns: headings of its table.
        rows: rows of its table.
        note: a sentence below it.
    """

    name: str
    title: str
    alt: str
    kind: str
    data: dict[str, Any]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = field(default=())
    note: str = ""
