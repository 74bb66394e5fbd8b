"""A Python worker that is killed at work, as by the kernel when memory runs out."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.nightly import Nightly, Started
from tests.faults.same import assert_same
from tests.faults.tally import DONE

TO_EXAMPLES = ("--until", "build_examples")


def kill_a_worker(night: Started, step: str) -> None:
    """Kills the first Python worker that computes while a step of a job runs.

    An idle worker, which waits for its next task, would prove nothing.
    """
    assert night.wait_for(step), night.text[-3000:]
    known: dict[psutil.Process, float] = {}
    while night.process.poll() is None:
        for worker in night.python_workers():
            try:
                seconds = worker.cpu_times().user
                if seconds > known.setdefault(worker, seconds):
                    worker.kill()
                    DONE["Python workers killed"] += 1
                    return
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.02)
    raise AssertionError(f"no Python worker was at work: {night.text[-2000:]}")


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_a_python_worker_is_killed(undisturbed: Nightly, tmp_path: Path) -> None:
    """In local mode, Spark tries no task twice: the night ends with 1, and the next start goes on."""
    night = undisturbed.copy(tmp_path)
    shutil.rmtree(night.warehouse / "item_embeddings")
    shutil.rmtree(night.warehouse / "ranker_examples")
    for step in (r'embed_items: embed \d+ distinct contents"', r'build_examples: search histories"'):
        started = night.start(*TO_EXAMPLES)
        kill_a_worker(started, step)
        assert "Python worker exited unexpectedly" in started.end(code=1)
    night.to_its_end(*TO_EXAMPLES)
    assert_same(night, undisturbed, but=["predictions"])
