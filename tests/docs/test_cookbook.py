"""The values of the cookbook's queries, asked of what stands for a warehouse."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from demo import cookbook
from schemas.errors import UserError

VALUES = tomllib.loads(cookbook.QUESTIONS.read_text(encoding="utf-8"))["values"]


class Answers:
    """Answers each query by the same rows, and keeps the queries."""

    def __init__(self, *rows: tuple[Any, ...]) -> None:
        self.rows = rows
        self.asked: list[str] = []

    def sql(self, query: str) -> Answers:
        self.asked.append(query)
        return self

    def collect(self) -> list[tuple[Any, ...]]:
        return [*self.rows]


def test_values_stand_between_quotes_whatever_their_characters() -> None:
    spark: Any = Answers(("a\\b's",))
    assert cookbook.ask_values(spark) == dict.fromkeys(VALUES, "a\\\\b\\'s")
    assert any("p.user_id = 'a\\\\b\\'s'" in query for query in spark.asked)


@pytest.mark.parametrize("rows", [(), ((None,),)])
def test_a_value_that_the_warehouse_lacks_is_named(rows: tuple[tuple[Any, ...], ...]) -> None:
    spark: Any = Answers(*rows)
    with pytest.raises(UserError, match=f"^cookbook.toml: value {next(iter(VALUES))} has no row in this warehouse"):
        cookbook.ask_values(spark)
