"""The same jobs on a real Spark standalone cluster: a master, two workers, the driver in client mode."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import deltalake
import pyspark
import pytest

from lake.submit import ROOMS
from tests import generate
from tests.quick_spark import JVM, QUICK_CLUSTER
from tests.strangers import strange_folder

ROOT = Path(__file__).parents[2]
SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
WAIT = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def alive_workers(page: int) -> list[dict]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
            return [worker for worker in json.load(answer)["workers"] if worker["state"] == "ALIVE"]
    except OSError:
        return []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("cluster")
    port, page = free_port(), free_port()
    environment = {
        **os.environ,
        "SPARK_HOME": str(SPARK_CLASS.parents[1]),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_DAEMON_JAVA_OPTS": JVM,
    }
    # What the hosts have on their path comes after the rooms that the driver sends.
    environment["PYTHONPATH"] = str(strange_folder(folder / "hosts", packages=ROOMS, modules=()))
    host = ["--host", "127.0.0.1"]
    commands = [["org.apache.spark.deploy.master.Master", *host, "--port", str(port), "--webui-port", str(page)]]
    commands += [
        ["org.apache.spark.deploy.worker.Worker", *host, "--cores", "1", "--memory", "1500m", "--webui-port", "0",
         "--work-dir", str(folder / f"worker-{n}"), f"spark://127.0.0.1:{port}"]
        for n in range(2)
    ]  # fmt: skip
    processes = []
    try:
        for n, command in enumerate(commands):
            out = (folder / f"{n}.log").open("w")
            processes.append(subprocess.Popen([str(SPARK_CLASS), *command], env=environment, stdout=out, stderr=out))
        deadline = time.monotonic() + WAIT
        while len(alive_workers(page)) < 2:
            assert time.monotonic() < deadline, (folder / "0.log").read_text()[-2000:]
            time.sleep(0.5)
        yield f"spark://127.0.0.1:{port}", folder
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(timeout=30)


@pytest.mark.cluster
def test_ingest_to_semantic_ids_on_two_workers(cluster: tuple[str, Path], tiny: Path, tmp_path: Path) -> None:
    master, folder = cluster
    log, items = generate.write(tmp_path / "input", users=30, days=20)
    caller = strange_folder(tmp_path / "caller")
    arguments = ["--master", master, "--executor-memory", "1g", "--conf", "spark.driver.host=127.0.0.1"]
    arguments += ["--conf", "spark.executor.cores=1", "--conf", "spark.sql.shuffle.partitions=2"]
    arguments += [part for name, value in QUICK_CLUSTER.items() for part in ("--conf", f"{name}={value}")]
    arguments += ["--conf", "spark.databricks.delta.snapshotPartitions=2", "--set", f"language_model.model={tiny}"]
    arguments += ["--warehouse", str(tmp_path / "warehouse"), "--interactions", log, "--items", items]
    arguments += ["--rename", generate.RENAME, "--until", "assign_semantic_ids"]
    for assignment in (*generate.SMALL, "embed.layer=2", "align.layers=2"):
        arguments += ["--set", assignment]
    command = [str(ROOT / "spark-submit.sh"), "nightly", *arguments]
    environment = {**os.environ, "QARM_PYTHON": sys.executable, "PYTHONPATH": ""}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=caller, timeout=540, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    closing = json.loads(done.stdout.strip().splitlines()[-1])
    assert closing["status"] == "done"
    assert {"items", "item_pairs", "item_embeddings", "codebook", "semantic_ids"} <= set(closing["outputs"])
    assert "[1/8] ingest" in done.stderr
    codes = deltalake.DeltaTable(str(tmp_path / "warehouse" / "semantic_ids")).to_pandas()
    assert len(codes) == len(generate.catalogue())
    ran = {path.parts[-4] for path in folder.glob("worker-*/app-*/*/stderr")}
    assert ran == {"worker-0", "worker-1"}, "both workers ran an executor"
