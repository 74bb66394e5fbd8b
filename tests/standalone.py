"""A Spark standalone cluster on this machine: a master, two workers of one core each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyspark

from lake.submit import ROOMS
from tests.ports import free_port
from tests.quick_spark import JVM, QUICK_CLUSTER
from tests.strangers import strange_folder

SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
WAIT = 120
EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"


@dataclass
class Cluster:
    """A running cluster.

    Attributes:
        master: URL of the master.
        folder: folder of the logs and of the workers' files.
        workers: processes of the workers; their executors are their children.
    """

    master: str
    folder: Path
    workers: list[psutil.Process]

    @property
    def options(self) -> list[str]:
        """Options of spark-submit.sh for little data on this cluster."""
        options = ["--master", self.master, "--executor-memory", "1g", "--conf", "spark.driver.host=127.0.0.1"]
        options += ["--conf", "spark.executor.cores=1", "--conf", "spark.sql.shuffle.partitions=2"]
        options += ["--conf", "spark.databricks.delta.snapshotPartitions=2"]
        return options + [part for name, value in QUICK_CLUSTER.items() for part in ("--conf", f"{name}={value}")]

    def executors(self) -> list[psutil.Process]:
        """Processes of the executors."""
        alive = (worker for worker in self.workers if worker.is_running())
        return [process for worker in alive for process in worker.children() if EXECUTOR in _command(process)]


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Starts a cluster, and ends it at the end.

    Args:
        folder: an empty folder.
    """
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
        while len(_alive_workers(page)) < 2:
            assert time.monotonic() < deadline, (folder / "0.log").read_text()[-2000:]
            time.sleep(0.5)
        yield Cluster(f"spark://127.0.0.1:{port}", folder, [psutil.Process(p.pid) for p in processes[1:]])
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(timeout=30)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # it ended since, or is a zombie
        return []


def _alive_workers(page: int) -> list[dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
            return [worker for worker in json.load(answer)["workers"] if worker["state"] == "ALIVE"]
    except OSError:
        return []
