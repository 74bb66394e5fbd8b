"""Writes docs/cookbook.md: the questions of demo/cookbook.toml with what a warehouse answers.

    python -m demo.cookbook --warehouse ./warehouse --out docs/cookbook.md

Without ``--out`` the page goes to stdout. The questions name no item, user or day: their values are asked of the
warehouse first, so that they run on any.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from jobs.reading.session import read_warehouse
from schemas.contract import sql_literal
from schemas.errors import UserError

QUESTIONS = Path(__file__).with_suffix(".toml")
MOST_CHARACTERS = 60
"""A longer cell is cut in the page."""

INTRODUCTION = """# SQL cookbook

Questions that analysts ask of a night, with the answers of `make demo` on Complete Journey, a simulated data set
([demo.md](demo.md)). Written by `python -m demo.cookbook --warehouse ./warehouse --out docs/cookbook.md` from
`demo/cookbook.toml`; the tests run every query on another warehouse. [sql.md](sql.md) says how to open one,
[tables.md](tables.md) lists tables, views and functions.
"""


@dataclass(frozen=True)
class Question:
    """A question with its query, in which the values are in place."""

    title: str
    about: str
    sql: str

    def columns_and_rows(self, spark: SparkSession) -> tuple[list[str], list[list[str]]]:
        """What the warehouse answers, as texts."""
        answer: DataFrame = spark.sql(self.sql)
        return answer.columns, [[_as_text(cell) for cell in row] for row in answer.collect()]


def read_questions(values: Mapping[str, str]) -> list[Question]:
    """The questions of the file.

    Args:
        values: the values that queries name, see :func:`ask_values`.
    """
    asked = tomllib.loads(QUESTIONS.read_text(encoding="utf-8"))["question"]
    return [Question(q["title"], q.get("about", ""), q["sql"].strip().format_map(values)) for q in asked]


def ask_values(spark: SparkSession) -> dict[str, str]:
    """Asks the warehouse for the values; a value's query may name other values.

    Returns:
        The values by name, each fit to stand between the quotes of a SQL string.

    Raises:
        UserError: the warehouse holds no row for a value.
    """
    queries = tomllib.loads(QUESTIONS.read_text(encoding="utf-8"))["values"]
    known: dict[str, str] = {}

    def ask(name: str) -> None:
        for _, needed, _, _ in Formatter().parse(queries[name]):
            if needed and needed not in known:
                ask(needed)
        query = queries[name].format_map(known)
        found = [row[0] for row in spark.sql(query).collect() if row[0] is not None]
        if not found:
            raise UserError(f"{QUESTIONS.name}: value {name} has no row in this warehouse; asked was {query}")
        known[name] = sql_literal(str(found[0]))[1:-1]

    for name in queries:
        if name not in known:
            ask(name)
    return known


def _as_text(cell: Any) -> str:
    if isinstance(cell, list):
        return ", ".join(map(_as_text, cell))
    text = "" if cell is None else str(cell)
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def page(answers: Iterable[tuple[Question, tuple[list[str], list[list[str]]]]]) -> Iterator[str]:
    """The lines of the page.

    Args:
        answers: the questions, each with its columns and rows.
    """
    yield INTRODUCTION
    for number, (question, (columns, rows)) in enumerate(answers, 1):
        yield f"## {number}. {question.title}\n"
        if question.about:
            yield f"{question.about}\n"
        yield f"```sql\n{question.sql}\n```\n"
        yield f"| {' | '.join(columns)} |"
        yield f"|{'---|' * len(columns)}"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield "" if rows else "\n(no rows)\n"
        print(f"cookbook: {number}. {question.title}", file=sys.stderr)


def main() -> None:
    """Reads the options and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m demo.cookbook", description=__doc__)
    parser.add_argument("--warehouse", default="./warehouse", help="the warehouse that answers (default ./warehouse)")
    parser.add_argument("--config", action="append", default=[], help="file with settings; repeatable")
    parser.add_argument("--out", help="file of the page (default stdout)")
    options = parser.parse_args()
    try:
        spark = read_warehouse(options.warehouse, options.config)
        questions = read_questions(ask_values(spark))
    except UserError as error:
        parser.exit(2, f"cookbook: {error}\n")
    answers = ((question, question.columns_and_rows(spark)) for question in questions)
    text = "\n".join(page(answers)).rstrip() + "\n"
    if options.out:
        Path(options.out).write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
