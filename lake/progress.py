"""What a job is doing, told to people: one line with a bar on a terminal, a line every minute in a log.

A step of a job is told by :func:`doing`. Loops of ``models``, which knows no log of a job, tell how far they are to the
logger :data:`schemas.names.LOOPS` (see :mod:`models.progress`); Spark tells its tasks when asked.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field

from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from lake.logs import on_terminal
from schemas.names import LOOPS

log = logging.getLogger("qarm")

EVERY, REDRAWN = 60.0, 1.0
"""Seconds between two lines in a log, and between two looks of the line on a terminal."""


@dataclass
class Work:
    """A job at work.

    Attributes:
        name: its name.
        usual: seconds that it usually takes; None if that is not known.
        tasks: returns how many of the tasks of Spark's running stages are done, and how many there are.
        started: when it began, by :func:`time.monotonic`.
        step: what it is doing.
        loop: what the loop at work does, how far it is, and how long it is; None if there is none.
        loop_began: when the loop began, and how far it was.
    """

    name: str
    usual: float | None = None
    tasks: Callable[[], tuple[int, int]] = lambda: (0, 0)
    started: float = field(default_factory=time.monotonic)
    step: str = ""
    loop: tuple[str, int, int] | None = None
    loop_began: tuple[float, int] = (0.0, 0)

    def advance(self, what: str, done: int, total: int) -> None:
        """Notes how far a loop is."""
        if self.loop is None or self.loop[0] != what:
            self.loop_began = (time.monotonic(), done)
        self.loop = (what, done, total)

    def seconds(self) -> float:
        """How long it has been at work."""
        return time.monotonic() - self.started

    def left(self) -> float | None:
        """Seconds until the end of the job as it usually goes, or else until the end of its loop; None if unknown."""
        if self.usual is not None and self.usual > self.seconds():
            return self.usual - self.seconds()
        if self.loop is not None and self.loop[1] > self.loop_began[1]:
            rate = (time.monotonic() - self.loop_began[0]) / (self.loop[1] - self.loop_began[1])
            return rate * (self.loop[2] - self.loop[1])
        return None

    def share(self) -> float:
        """How much of the bar is full, from 0 to 1: of the usual time, or else of the loop or Spark's tasks."""
        if self.usual is not None and self.usual > self.seconds():
            return self.seconds() / self.usual
        done, total = self.loop[1:] if self.loop is not None else self.tasks()
        return done / total if total else 0.0

    def told(self) -> str:
        """What it is doing, how far it is, how long it has been at work, and how long it may take."""
        what = (self.step or "begins") if self.loop is None else self.loop[0]
        done, total = self.tasks() if self.loop is None else self.loop[1:]
        far = f" {done:,} of {total:,}" if total else ""
        far += " tasks" if far and self.loop is None else ""
        left = self.left()
        return f"{what}{far}, {clock(self.seconds())}" + ("" if left is None else f", about {clock(left)} left")


class _Loops(logging.Handler):
    """Passes on what loops tell."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work

    def emit(self, record: logging.LogRecord) -> None:
        """Notes one record."""
        self._work.advance(record.getMessage(), vars(record)["done"], vars(record)["total"])


_at_work: list[Work] = []


def clock(seconds: float) -> str:
    """A duration as people read it, e.g. ``1:05`` or ``2:00:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Tells a step of the job at work."""
    for work in _at_work[-1:]:
        work.step, work.loop = what, None
    yield


@contextmanager
def at_work(spark: SparkSession, name: str, usual: float | None = None) -> Iterator[None]:
    """Tells how far a job is, until it ends.

    Args:
        spark: the session whose tasks are counted.
        name: what the line begins with.
        usual: seconds that the job usually takes; None if that is not known.
    """
    work = Work(name, usual, lambda: running_tasks(spark))
    loops, ended = logging.getLogger(LOOPS), threading.Event()
    handler = _Loops(work)
    loops.addHandler(handler)
    loops.setLevel(logging.INFO)
    tell = _line if on_terminal() else _lines
    # A thread begins with no context of its own, and so without the run and the job that lines of JSON name.
    teller = threading.Thread(target=copy_context().run, args=(tell, work, ended), daemon=True)
    _at_work.append(work)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
        _at_work.remove(work)
        loops.removeHandler(handler)


def running_tasks(spark: SparkSession) -> tuple[int, int]:
    """How many of the tasks of Spark's running stages are done, and how many there are."""
    try:
        tracker = spark.sparkContext.statusTracker()
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    except Exception:  # Spark is stopping: the job itself will tell
        return 0, 0
    known = [stage for stage in stages if stage is not None]
    return sum(stage.numCompletedTasks for stage in known), sum(stage.numTasks for stage in known)


def _lines(work: Work, ended: threading.Event) -> None:
    while not ended.wait(EVERY):
        log.info("%s: %s", work.name, work.told())


def _line(work: Work, ended: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[told]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, refresh_per_second=2, redirect_stdout=False) as bar:
        line = bar.add_task(work.name, total=1.0, told="")
        while not ended.wait(REDRAWN):
            bar.update(line, completed=work.share(), told=work.told())
