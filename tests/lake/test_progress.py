from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import time

import pytest

from lake import progress
from lake.java_messages import start_told
from lake.logs import about, on_terminal, set_up
from lake.progress import Work, at_work, clock, doing
from models.progress import Progress, tracked
from schemas.names import LOOPS


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class NoSpark:
    """A session whose status nobody can ask for."""


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tells every tenth of a second."""
    monkeypatch.setattr(progress, "EVERY", 0.1)
    set_up()


def test_a_log_gets_a_line_now_and_then(often: None, capsys: pytest.CaptureFixture[str]) -> None:
    with at_work(NoSpark(), "[2/13] train_ranker", usual=60.0), doing("train qarm"):  # type: ignore[arg-type]
        for _ in tracked(range(3), "train qarm", 40):
            time.sleep(0.12)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 5
    assert "[2/13] train_ranker: train qarm" in lines[-1]
    assert "of 40, 0:00, about 1:00 left" in lines[-1]


def test_a_short_job_says_nothing(often: None, capsys: pytest.CaptureFixture[str]) -> None:
    with at_work(NoSpark(), "ingest"), doing("read"):  # type: ignore[arg-type]
        pass
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_one_line_that_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(progress, "REDRAWN", 0.05)
    set_up()
    assert on_terminal()
    with at_work(NoSpark(), "evaluate", usual=10.0), doing("score [all] examples"):  # type: ignore[arg-type]
        time.sleep(0.8)
        logging.getLogger("qarm").warning("a warning")
    drawn = stream.getvalue()
    assert "score [all] examples, 0:0" in drawn
    assert "about 0:09 left" in drawn
    assert "a warning\n" in drawn
    assert drawn.rstrip().endswith("\x1b[2K"), "the line is cleared"
    assert max(len(line) for line in drawn.replace("\r", "\n").split("\n")) < 200
    set_up("json")
    assert not on_terminal()
    set_up()


def test_time_left_is_that_of_earlier_runs_or_of_the_loop() -> None:
    usual = Work("job", usual=100.0, started=time.monotonic() - 25)
    assert usual.share() == pytest.approx(0.25, abs=0.01)
    assert usual.left() == pytest.approx(75, abs=1)
    late = Work("job", usual=10.0, started=time.monotonic() - 25, tasks=lambda: (3, 4))
    assert late.left() is None
    assert late.share() == pytest.approx(0.75)
    assert late.told() == "begins 3 of 4 tasks, 0:25"
    late.advance("train", 10, 100)
    late.loop_began = (time.monotonic() - 5, 0)
    assert late.left() == pytest.approx(45, abs=1)
    assert clock(3605) == "1:00:05"


def test_lines_of_json_tell_run_and_job(often: None, capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json")
    with about(run_id="run-1", job="ingest"), at_work(NoSpark(), "ingest"):  # type: ignore[arg-type]
        time.sleep(0.15)
    set_up()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines
    assert all((line["run_id"], line["job"]) == ("run-1", "ingest") for line in lines)


def test_a_loop_tells_its_end_and_is_silent_without_a_job(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    set_up()
    loops = logging.getLogger(LOOPS)
    loops.addHandler(caplog.handler)
    loops.setLevel(logging.INFO)
    loop = Progress("train", 3)
    for _ in range(3):
        loop.advance()
    loops.removeHandler(caplog.handler)
    last = vars(caplog.records[-1])
    assert (last["msg"], last["done"], last["total"]) == ("train", 3, 3)
    assert capsys.readouterr().err == ""


def test_what_a_jvm_says_at_its_start_is_shown_if_the_start_fails(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    says = [sys.executable, "-c", "import sys, time; print('cause', file=sys.stderr, flush=True); time.sleep(1);"
            " print('later', file=sys.stderr, flush=True)"]  # fmt: skip
    with start_told():
        process = subprocess.Popen(says)
        time.sleep(0.5)
    process.wait()
    time.sleep(0.2)
    told = capfd.readouterr().err
    assert "cause" not in told
    assert "later" in told
    fails = [*says[:2], says[2] + "; sys.exit(1)"]
    with pytest.raises(subprocess.CalledProcessError), start_told():
        subprocess.run(fails, check=True)
    time.sleep(0.2)
    assert "cause" in capfd.readouterr().err
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--verbose pyspark-shell")
    with start_told():
        subprocess.run([*says[:2], "import sys; print('asked for', file=sys.stderr)"], check=True)
        time.sleep(0.2)
    assert "asked for" in capfd.readouterr().err
    os.write(2, b"as before\n")
    assert "as before" in capfd.readouterr().err
