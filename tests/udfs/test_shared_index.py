from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from models.ranker.examples.search_index import ARRAYS

WORKER = """
import sys
from pathlib import Path
import numpy as np
from udfs.examples import load_search_index
from models.ranker.examples.search_index import ARRAYS
index = load_search_index(Path(sys.argv[1]))
total = sum(float(np.asarray(getattr(index, name)).sum()) for name in ARRAYS)
print(total, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    for name in ARRAYS:
        np.save(tmp_path / f"{name}.npy", np.ones((100_000, 8), np.float32))
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    started = [subprocess.Popen(command, stdin=-1, stdout=-1, text=True) for _ in range(2)]
    yield started
    for process in started:
        process.communicate()


def test_workers_of_a_host_share_the_indexs_pages(workers: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    for process in workers:
        assert process.stdout is not None
        assert float(process.stdout.readline()) > 0  # it has read every page
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    maps = [m for p in workers for m in psutil.Process(p.pid).memory_maps() if m.path.startswith(str(tmp_path))]
    assert sum(m.rss for m in maps) > 1.9 * size
    assert sum(m.pss for m in maps) < 1.1 * size
