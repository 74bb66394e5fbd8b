"""The blocks of Python in the documents run; those of one page run one after the other, under the same names."""

from __future__ import annotations

import json
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest
import torch

from tests.docs.pages import PAGES, blocks

SQL = "sql.md"
ELSEWHERE = (SQL, "mari.md")
"""Their blocks need more: a Thrift server and a cluster (tests/jobs/reading/test_thrift.py), an exported ranker
(tests/models/reparameterise/test_document.py, tests/models/ranker/serving/test_export.py)."""
WITH_PYTHON = [
    page for page in PAGES if page.parent.name == "docs" and page.name not in ELSEWHERE and blocks(page, "python")
]


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a published night as a program without Spark sees it."""
    table = tmp_path / "warehouse" / "semantic_ids"
    rows = {"item_id": ["a", "b"], "sid_1": [1, 12], "sid_2": [2, 7], "sid_3": [3, 201], "sid": ["1-2-3", "12-7-201"]}
    deltalake.write_deltalake(str(table), pa.table(rows))
    told = {"tables": {"semantic_ids": {"path": str(table), "version": 0}}}
    (tmp_path / "warehouse" / "published.json").write_text(json.dumps(told))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_such_pages() -> None:
    assert "cluster.md" in {page.name for page in WITH_PYTHON}


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page: Path, published: Path) -> None:
    torch.manual_seed(0)
    names: dict[str, object] = {"__name__": "example"}
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)


def test_a_program_without_spark_reads_the_codes(published: Path) -> None:
    names: dict[str, object] = {}
    cluster = next(page for page in PAGES if page.name == "cluster.md")
    exec(blocks(cluster, "python")[0], names)
    assert list(names["codes"]["sid"]) == ["1-2-3", "12-7-201"]  # type: ignore[index]


def test_duckdb_and_polars_read_what_is_published(published: Path) -> None:
    names: dict[str, object] = {}
    page = next(page for page in PAGES if page.name == SQL)
    exec(blocks(page, "python")[-1], names)
    assert names["tables"]["semantic_ids"].count_rows() == 2  # type: ignore[index]
