"""Two nightlies on one warehouse, as processes of their own; tests/lake/test_night_lock.py has both in one process.

This is the fault suite in short: make test runs it too.
"""

from __future__ import annotations

import re
import signal
import socket
import time
from pathlib import Path

from tests.faults.nightly import DEADLINE, Nightly, Started
from tests.faults.tally import DONE


def first_at_work(nights: list[Started]) -> Started:
    """The nightly that got the warehouse."""
    ends = time.monotonic() + DEADLINE
    while time.monotonic() < ends:
        for night in nights:
            if "[1/1] ingest: never run" in night.text:
                return night
        time.sleep(0.05)
    raise AssertionError(nights[0].text[-3000:])


def test_the_second_ends_at_once_and_the_third_goes_on_after_a_kill(options: list[str], tmp_path: Path) -> None:
    night = Nightly(tmp_path, [*options, "--until", "ingest", "--set", "nightly.expires_seconds=600"])
    both = [night.start(), night.start()]
    first = first_at_work(both)
    first.signal(signal.SIGSTOP)  # so that it is at work for as long as the second one takes to see it
    second = next(other for other in both if other is not first)
    second.end(code=2)
    run_id = next((night.warehouse / "_locks").iterdir()).name
    first.kill()
    host = re.escape(socket.gethostname())
    assert re.fullmatch(
        rf"nightly: run {run_id} on host {host} holds \S+/warehouse since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC;"
        r" its last sign of life is \d+ s old\. If it was killed, start again in \d+ s",
        second.last_line,
    )
    assert "Traceback" not in second.text
    DONE["second nightlies refused"] += 1
    log = night.to_its_end("--set", "nightly.expires_seconds=3")
    assert f"run {run_id} on host" in log
    assert "is dead; going on" in log
    runs = night.read("runs")
    assert [*runs["status"]] == ["done"]
    assert [*runs["run_id"]] != [run_id]
    assert len(night.read("interactions")) > 100
    assert not [*(night.warehouse / "_locks").iterdir()]
