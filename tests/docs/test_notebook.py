"""The notebook runs from its first cell to its last in a kernel of its own (make test-extras)."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from schemas.files import ROOT

NOTEBOOK = ROOT / "docs" / "night.ipynb"


def test_its_cells_are_python_without_outputs() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    for cell in cells:
        ast.parse("".join(cell["source"]))
        assert cell["outputs"] == []


@pytest.mark.extras
def test_the_notebook_runs(tmp_path: Path, own_spark: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("QARM_ROOT", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert notebook.cells[-1].outputs[0]["text"].strip() == "passed"
