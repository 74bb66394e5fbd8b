"""A cluster that loses an executor, then a whole worker, while jobs compute on them."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import psutil
import pytest

from tests.faults.nightly import Nightly
from tests.faults.same import assert_same
from tests.faults.tally import DONE
from tests.standalone import Cluster


def kill(process: psutil.Process) -> None:
    """Kills a JVM, and what runs below it, some of which ends by itself as it notices."""
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_jobs_go_on_without_an_executor_and_without_a_worker(
    undisturbed: Nightly, cluster: Cluster, tmp_path: Path
) -> None:
    night = undisturbed.copy(tmp_path, [*undisturbed.arguments, *cluster.options])
    shutil.rmtree(night.warehouse / "item_embeddings")
    shutil.rmtree(night.warehouse / "ranker_examples")
    started = night.start("--until", "build_examples")
    assert started.wait_for(r'embed_items: embed \d+ distinct contents"'), started.text[-3000:]
    kill(cluster.executors()[0])
    DONE["executors killed"] += 1
    assert started.wait_for(r'build_examples: search histories"'), started.text[-3000:]
    assert len(cluster.executors()) == 2, "the worker started another one"
    kill(cluster.workers[0])
    DONE["workers of a cluster killed"] += 1
    log = started.end()
    assert "Lost executor" in log
    assert_same(night, undisturbed, but=["predictions"])
