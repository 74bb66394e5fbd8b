"""Nightlies as processes of their own, which tests kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import deltalake
import pandas as pd
import psutil

from lake.session import DAEMON
from schemas.files import ROOT
from tests.faults.tally import DONE
from tests.warehouses import copy_folder

DEADLINE = 900
"""Seconds in which a nightly of the tests ends, on a busy machine."""


AT_WORK: list[Started] = []
"""Nightlies that were started and not yet seen to end; what a failed test leaves is killed after it."""


@dataclass
class Started:
    """A nightly at work."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def last_line(self) -> str:
        """The message of the log's last line, which is JSON as all others."""
        return str(json.loads(self.text.strip().splitlines()[-1])["message"])

    def wait_for(self, pattern: str | Callable[[], object], seconds: float = DEADLINE) -> bool:
        """Waits until the log shows a pattern or something holds; False if the nightly ended, or time ran out."""
        ends = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < ends:
            if pattern() if callable(pattern) else re.search(pattern, self.text):
                return True
            time.sleep(0.02)
        return False

    def signal(self, number: int) -> None:
        """Sends a signal to the driver and its JVM."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """The machine is gone: SIGKILL for the driver and its JVM; Python workers end as they notice."""
        self.signal(signal.SIGKILL)
        self.process.wait()
        DONE["nightlies killed"] += 1

    def end(self, code: int = 0) -> str:
        """Waits for the end, which must have an exit code; returns the log."""
        assert self.process.wait(timeout=DEADLINE) == code, self.text[-3000:]
        return self.text

    def python_workers(self) -> list[psutil.Process]:
        """Processes in which Spark runs Python for its tasks: the children of its daemons."""
        return python_workers(self.process.pid)


DAEMONS = {DAEMON, "pyspark.daemon"}
"""What forks Python workers on the driver's machine, and on executors."""


def kill_left() -> None:
    """Kills the nightlies that still run."""
    while AT_WORK:
        night = AT_WORK.pop()
        if night.process.poll() is None:
            night.signal(signal.SIGKILL)
            night.process.wait()


def python_workers(pid: int) -> list[psutil.Process]:
    """The Python workers below a process."""
    found = []
    for process in _below(pid):
        try:
            if all(DAEMONS & {*one.cmdline()} for one in (process, process.parent())):  # type: ignore[union-attr]
                found.append(process)
        except (psutil.NoSuchProcess, AttributeError):
            continue
    return found


def _below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@dataclass
class Nightly:
    """Starts nightlies on one warehouse, each a process of its own.

    Attributes:
        folder: folder of the warehouse, the logs and the nightlies' temporary files.
        arguments: options of the nightly.
        warehouse: the warehouse.
        starts: number of starts so far.
    """

    folder: Path
    arguments: list[str]
    warehouse: Path = field(init=False)
    starts: int = 0

    def __post_init__(self) -> None:
        self.warehouse = self.folder / "warehouse"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def copy(self, folder: Path, arguments: list[str] | None = None) -> Nightly:
        """The same warehouse in another folder."""
        made = replace(self, folder=folder, arguments=arguments or self.arguments, starts=0)
        copy_folder(self.warehouse, made.warehouse)
        return made

    def start(self, *more: str, job: str = "nightly") -> Started:
        self.starts += 1
        self.temporary.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{self.starts}.log"
        command = [str(ROOT / "spark-submit.sh"), job, "--warehouse", str(self.warehouse), *self.arguments, *more]
        command += ["--log-format", "json"]  # every step has its lines there, which tests wait for
        environment = {**os.environ, "QARM_PYTHON": sys.executable, "PYTHONPATH": "", "TMPDIR": str(self.temporary)}
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command, stdout=stream, stderr=stream, start_new_session=True, cwd=self.folder, env=environment
            )
        DONE["starts"] += 1
        AT_WORK.append(Started(process, log))
        return AT_WORK[-1]

    def killed_when(self, pattern: str | Callable[[], object], *, after: float = 0) -> bool:
        """Starts a nightly, and kills it as its log shows a pattern or something holds.

        Args:
            pattern: what it is killed at.
            after: seconds from then to the kill.

        Returns:
            Whether it was killed; False if it ended before.
        """
        started = self.start()
        if started.wait_for(pattern):
            time.sleep(after)
            if started.process.poll() is None:
                started.kill()
                return True
        started.end()
        return False

    def to_its_end(self, *more: str) -> str:
        return self.start(*more).end()

    def read(self, table: str) -> pd.DataFrame:
        return deltalake.DeltaTable(str(self.warehouse / table)).to_pandas()
