"""Common names of the rooms meet nobody else's: not the caller's folder, not what is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from lake.environment import SAFE_PATH, STRICT, THREADS, defaults, prepare
from lake.submit import ROOMS
from schemas.files import ROOT
from tests.strangers import strange_folder


def test_no_installed_distribution_provides_a_room() -> None:
    assert not {*ROOMS} & packages_distributions().keys()
    code = f"from importlib.util import find_spec; print([name for name in {ROOMS} if find_spec(name)])"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.cluster  # a JVM of its own; on a cluster, tests/end_to_end/test_cluster.py does the same
def test_ingest_runs_from_a_folder_with_modules_of_our_names_and_of_pythons(
    tmp_path: Path, own_spark: list[str]
) -> None:
    folder = strange_folder(tmp_path / "caller")
    (folder / "log.csv").write_text(
        "user_id,item_id,event_time\n" + "".join(f"u{n},i{n % 3},2025-03-0{1 + n}T10:00:00\n" for n in range(6))
    )
    (folder / "items.csv").write_text("item_id,title\n" + "".join(f"i{n},thing {n}\n" for n in range(3)))
    inputs = ["--interactions", "log.csv", "--items", "items.csv"]
    done = subprocess.run(
        [str(ROOT / "spark-submit.sh"), "ingest", *inputs, *own_spark],
        env={**os.environ, "QARM_PYTHON": sys.executable, "PYTHONPATH": ""},
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]  # the check of the keys ran in Python workers
    assert json.loads(done.stdout.strip().splitlines()[-1])["metrics"]["ingest.interactions"] == 6


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_threads_wait_as_the_user_chose(name: str) -> None:
    assert defaults({}) == {**SAFE_PATH, **THREADS, **STRICT}
    assert defaults({name: "ACTIVE"}) == {**SAFE_PATH, **STRICT}


def test_products_are_strict_unless_the_user_chose() -> None:
    assert defaults({"MKL_CBWR": "AVX2"}) == {**SAFE_PATH, **THREADS}
    assert os.environ["MKL_CBWR"].endswith("STRICT"), "the tests run as the jobs do"


def test_our_rooms_come_first_on_the_path() -> None:
    environment = {"PYTHONPATH": os.pathsep.join(["/theirs", str(ROOT), ""])}
    prepare(environment)
    assert environment["PYTHONPATH"] == os.pathsep.join([str(ROOT), "/theirs"])
    assert environment["PYTHONSAFEPATH"] == "1"
