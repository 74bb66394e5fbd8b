from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import export_ranker
from lake.command import main


def test_mistakes_are_one_line(spark: SparkSession, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    warehouse, there = ["--warehouse", str(tmp_path / "warehouse")], tmp_path / "there"
    there.mkdir()
    for arguments, message in [
        ([], "--out FOLDER is missing"),
        (["--out", str(there)], f"--out {there}: it exists; name a folder that does not exist yet"),
        (["--out", str(tmp_path / "new")], "run train_ranker first"),
    ]:
        assert main(export_ranker.COMMAND, [*warehouse, *arguments]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if not line[:2].isdigit()]
        assert len(lines) == 1, lines
        assert message in lines[0]
    with pytest.raises(SystemExit):
        main(export_ranker.COMMAND, [*warehouse, "--candidates", "1"])
    assert "'1' is no whole number from 2 on" in capsys.readouterr().err
