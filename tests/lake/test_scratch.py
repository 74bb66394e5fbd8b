from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lake.scratch import scratch_folder
from schemas.files import ROOT

KILLED = """
import os, signal, sys
from lake.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "weights").write_bytes(b"0" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    theirs = Path(process.stdout.readline().strip())
    assert theirs.parent.parent == tmp_path
    with scratch_folder() as own:
        assert (theirs / "weights").is_file(), "its process lives"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert theirs.is_dir(), "a killed process cleans nothing"
        with scratch_folder() as second:
            assert not theirs.exists()
            assert own.is_dir()
            assert [*second.iterdir()] == []
        assert not second.exists()
    assert {path.name for path in own.parent.iterdir()} <= {"door"}
