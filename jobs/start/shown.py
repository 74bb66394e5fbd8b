"""Shows the columns of an input, and what they are read as, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.start.column import Column
from jobs.start.columns import Guess

WIDEST = 28
"""Characters of a name or a value."""

HEADER = ("column", "read as", "type", "nulls", "distinct ~", "from", "to")

RIGHT = ("nulls", "distinct ~")


def columns_table(columns: Sequence[Column], guesses: Sequence[Guess], otherwise: str) -> str:
    """The table as text.

    Args:
        columns: the columns.
        guesses: what they are read as.
        otherwise: what a column is that has no guess.
    """
    ours = {guess.theirs: guess.ours for guess in guesses}
    rows = [HEADER, *(_row(column, ours.get(column.name, otherwise)) for column in columns)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADER))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if name in RIGHT else cell.ljust(width)
            for name, cell, width in zip(HEADER, row, widths, strict=True)
        ]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return "\n".join(lines)


def _row(column: Column, ours: str) -> tuple[str, ...]:
    share = f"{column.nulls / max(column.rows, 1):.1%}"
    return (
        _short(column.name),
        ours,
        column.kind,
        share,
        f"{column.distinct:,}",
        _short(column.least),
        _short(column.most),
    )


def _short(text: str | None) -> str:
    plain = "" if text is None else " ".join(text.split())
    return plain if len(plain) <= WIDEST else f"{plain[: WIDEST - 1]}…"
