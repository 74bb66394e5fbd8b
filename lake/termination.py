"""SIGTERM, by which schedulers and clusters end a process, as an error: what is held is given back on its way."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from pyspark.sql import SparkSession


class TerminatedError(BaseException):
    """The process was asked to end. No handler of errors takes it for one of a job.

    Attributes:
        exit_code: exit code of a command that is ended so.
    """

    exit_code = 128 + int(signal.SIGTERM)


@contextlib.contextmanager
def ended_by_signal(spark: SparkSession) -> Iterator[None]:
    """Raises :class:`TerminatedError` where the process is when SIGTERM comes, and stops Spark's jobs.

    A further SIGTERM does nothing, so that what is held is given back; SIGKILL ends the process. Python delivers
    signals to its main thread; elsewhere, nothing changes.

    Args:
        spark: the session whose jobs are stopped.
    """

    def end(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _drop_connection(spark)
        with contextlib.suppress(Exception):  # the JVM may have ended too
            spark.sparkContext.cancelAllJobs()
        raise TerminatedError("the process was ended by SIGTERM")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, before)


def _drop_connection(spark: SparkSession) -> None:
    """Closes this thread's connection to the JVM, which may wait for the answer to a command; the next call opens one.

    Otherwise the next command would wait behind that one, and take its answer for its own.
    """
    client: Any = spark.sparkContext._gateway._gateway_client  # type: ignore[union-attr]
    with contextlib.suppress(Exception):
        connection = client.get_thread_connection()
        if connection is not None:
            connection.close()
