from __future__ import annotations

from pathlib import Path

import pytest

from schemas.contract import Column, Contract
from schemas.docs import tables_page
from schemas.tables import all_contracts


def test_every_column_has_a_comment_and_every_table_its_name_once() -> None:
    contracts = all_contracts(["click", "order"])
    assert len({contract.name for contract in contracts}) == len(contracts) == 20
    assert all(column.comment for contract in contracts for column in contract.columns)


def test_tasks_become_columns() -> None:
    examples, predictions = (
        c for c in all_contracts(["click", "order"]) if c.name in ("ranker_examples", "predictions")
    )
    assert {"label_click", "label_order"} <= set(examples.names)
    assert {"score_click", "score_order"} <= set(predictions.names)


def test_a_contract_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="named twice"):
        Contract("t", "", (Column("a", "INT", "x"), Column("a", "INT", "x")))
    with pytest.raises(ValueError, match=r"\['b'\] are not columns"):
        Contract("t", "", (Column("a", "INT", "x"),), key=("b",))


def test_the_page_on_tables_is_current() -> None:
    written = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
    assert written == tables_page(), "run: python -m schemas.docs > docs/tables.md"
