"""Who is told how a night ended."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pyspark.sql import SparkSession

from jobs.night.outcome import WEBHOOK, outcome_told
from lake.lake import Lake
from lake.termination import TerminatedError, ended_by_signal
from schemas.errors import HeldBackError, UserError


@pytest.fixture
def told() -> Iterator[tuple[str, list[dict]]]:
    """The URL of a webhook, and what it was told; it refuses the first call."""
    received: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(503 if len(received) == 1 else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret-path", received
    server.shutdown()


JOB = {"job": "ingest", "status": "done", "seconds": 2.5, "why": "never run", "outputs": {"items": "1"}, "metrics": {}}


def test_a_night_is_told_to_files_and_webhook(
    make_lake: Callable[..., Lake],
    tmp_path: Path,
    told: tuple[str, list[dict]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lake, (url, received) = make_lake(), told
    monkeypatch.setenv(WEBHOOK, url)
    with outcome_told(lake, "run-1") as outcome:
        outcome.jobs.append(dict(JOB))
    written = json.loads((tmp_path / "warehouse" / "outcome.json").read_text())
    assert received == [written, written], "tried again"
    assert (written["status"], written["exit_code"], written["why"]) == ("done", 0, None)
    assert written["jobs"] == [{"job": "ingest", "status": "done", "seconds": 2.5, "why": "never run"}]
    assert written["published"] is None
    families = text_string_to_metric_families((tmp_path / "warehouse" / "outcome.prom").read_text())
    values = {s.name: (s.value, s.labels.get("job")) for family in families for s in family.samples}
    assert values["qarm_night_exit_code"] == (0.0, None)
    assert values["qarm_job_seconds"] == (2.5, "ingest")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (HeldBackError("night x is held back"), "held back", 3),
        (UserError("mine.min_user_items:\n no user"), "refused", 2),
        (RuntimeError("out of luck"), "failed", 1),
        (KeyboardInterrupt(), "failed", 1),
        (TerminatedError(), "failed", 143),
    ],
)
def test_every_ending_is_told_and_goes_on(
    make_lake: Callable[..., Lake], tmp_path: Path, error: BaseException, status: str, code: int
) -> None:
    def night() -> None:
        with outcome_told(make_lake(), "run-1") as outcome:
            outcome.jobs.append(dict(JOB))
            raise error

    with pytest.raises(type(error)):
        night()
    written = json.loads((tmp_path / "warehouse" / "outcome.json").read_text())
    assert (written["status"], written["exit_code"]) == (status, code)
    assert "\n" not in written["why"]
    assert written["why"]


def test_a_webhook_that_is_not_reached_changes_nothing_and_stays_secret(
    make_lake: Callable[..., Lake],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(WEBHOOK, "http://127.0.0.1:9/secret-path")
    with outcome_told(make_lake(), "run-1"):
        pass
    assert "the webhook of QARM_WEBHOOK was not reached" in caplog.text
    assert "secret-path" not in caplog.text
    assert json.loads((tmp_path / "warehouse" / "outcome.json").read_text())["status"] == "skipped"


def test_the_webhook_is_told_where_the_files_cannot_be_written(
    make_lake: Callable[..., Lake], told: tuple[str, list[dict]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    lake, (url, received) = make_lake(), told
    monkeypatch.setenv(WEBHOOK, url)
    monkeypatch.setattr(lake.files, "write_text", full)
    monkeypatch.setattr(lake.published, "current", full)
    with pytest.raises(RuntimeError), outcome_told(lake, "run-1"):
        raise RuntimeError("out of luck")
    assert received[-1]["why"] == "out of luck"
    assert received[-1]["published"] is None


def test_sigterm_ends_a_night_and_is_told(spark: SparkSession, make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    """In the middle of a Spark action, and once more while it ends."""

    def night() -> None:
        with outcome_told(make_lake(), "run-1"), ended_by_signal(spark):
            spark.sparkContext.range(2).foreach(lambda _: time.sleep(60))

    began, before = time.monotonic(), signal.getsignal(signal.SIGTERM)
    timers = [threading.Timer(after, os.kill, (os.getpid(), signal.SIGTERM)) for after in (3, 3.2)]
    for timer in timers:
        timer.start()
    try:
        with pytest.raises(TerminatedError):
            night()
    finally:
        for timer in timers:
            timer.join()
        signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - began < 30
    written = json.loads((tmp_path / "warehouse" / "outcome.json").read_text())
    assert (written["exit_code"], written["why"]) == (143, "the process was ended by SIGTERM")
    assert spark.range(3).count() == 3, "the session still works"
