"""Scripts of other people's models import from their own folder, whatever the benchmark's Python is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks._scripts import run_script


def test_a_script_imports_from_its_folder_and_gets_its_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    (tmp_path / "beside.py").write_text("FOUND = 'beside'")
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, pathlib, beside\n"
        "pathlib.Path(sys.argv[1]).write_text(beside.FOUND + os.environ['THREADS_OF_THE_TEST'])"
    )
    run_script(Path(sys.executable), script, str(tmp_path / "out"), environment={"THREADS_OF_THE_TEST": "1"})
    assert (tmp_path / "out").read_text() == "beside1"
