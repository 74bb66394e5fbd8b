"""SIGTERM, by which schedulers and clusters end a process, as an error: what is held is given back on its way."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

EXIT_CODE = 128 + signal.SIGTERM


class TerminatedError(SystemExit):
    """The process was asked to end. No handler of errors takes it for one of a job."""

    def __init__(self) -> None:
        super().__init__(int(EXIT_CODE))

    def __str__(self) -> str:
        """For people and for the outcome."""
        return "the process was ended by SIGTERM"


@contextlib.contextmanager
def ended_by_signal(spark: SparkSession) -> Iterator[None]:
    """Raises :class:`TerminatedError` where the process is when SIGTERM comes, and stops Spark's jobs.

    Python delivers signals to its main thread; elsewhere, nothing changes.

    Args:
        spark: the session whose jobs are stopped.
    """

    def end(_: int, __: FrameType | None) -> None:
        raise TerminatedError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except TerminatedError:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would interrupt what the first one set going
        with contextlib.suppress(Py4JError, OSError):
            spark.sparkContext.cancelAllJobs()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
