"""Parts of a job's work that do not depend on each other, side by side: one query is planned while another one runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any

from pyspark.sql import SparkSession
from pyspark.util import inheritable_thread_target


def side_by_side(spark: SparkSession, *work: Callable[[], Any]) -> list[Any]:
    """Calls functions at the same time, each in a thread of its own.

    A small query takes longer to plan, in one thread of the driver, than to run. Spark's scheduler shares the cores
    among the threads. The threads have the Spark properties and the log's context of the caller.

    Args:
        spark: the session.
        work: the functions; none reads what another one writes.

    Returns:
        What they return, in their order.

    Raises:
        Exception: the error of the first of them, in their order, that failed; it comes once all have ended.
        BaseException: the process is to end. Spark's jobs are stopped until all have ended.
    """
    begin = inheritable_thread_target(spark)
    with ThreadPoolExecutor(len(work)) as threads:
        waiting = [threads.submit(begin(_in_context(call))) for call in work]
        try:
            return [each.result() for each in waiting]
        except Exception:
            raise
        except BaseException:  # the process is to end: each thread ends with its next job, see lake.termination
            while wait(waiting, timeout=0.2).not_done:
                spark.sparkContext.cancelAllJobs()
            raise


def _in_context(call: Callable[[], Any]) -> Callable[[], Any]:
    context = copy_context()
    return lambda: context.run(call)
