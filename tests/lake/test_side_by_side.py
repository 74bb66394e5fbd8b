"""Work side by side: results in order, errors after all have ended, the caller's properties and context."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest
from pyspark.sql import SparkSession

from lake.side_by_side import side_by_side
from lake.termination import TerminatedError

TOLD: ContextVar[str] = ContextVar("told", default="nothing")


def test_results_come_in_order_and_the_work_runs_at_the_same_time(spark: SparkSession) -> None:
    meeting = threading.Barrier(2, timeout=60)

    def counted(rows: int) -> int:
        meeting.wait()  # passes only if both are at work
        return spark.range(rows).count()

    assert side_by_side(spark, lambda: counted(3), lambda: counted(2)) == [3, 2]


def test_an_error_is_raised_once_all_have_ended(spark: SparkSession) -> None:
    failed, ended = threading.Event(), []

    def fails() -> None:
        failed.set()
        raise ValueError("no rows")

    def goes_on() -> None:
        assert failed.wait(60)
        ended.append(spark.range(2).count())

    with pytest.raises(ValueError, match="no rows"):
        side_by_side(spark, fails, goes_on)
    assert ended == [2]


@pytest.mark.timeout(120)
def test_a_process_that_is_to_end_does_not_wait_for_queries(spark: SparkSession) -> None:
    begun = threading.Event()

    def goes_on() -> None:
        begun.set()
        spark.range(10**15).selectExpr("sum(hash(id))").collect()  # takes days

    def ends() -> None:
        assert begun.wait(60)
        raise TerminatedError("the process was ended by SIGTERM")

    with pytest.raises(TerminatedError):
        side_by_side(spark, ends, goes_on)


def test_threads_have_the_properties_and_the_context_of_the_caller(spark: SparkSession) -> None:
    spark.sparkContext.setLocalProperty("qarm.test", "here")
    told = TOLD.set("the run")
    try:
        found = side_by_side(spark, lambda: (spark.sparkContext.getLocalProperty("qarm.test"), TOLD.get()))
    finally:
        TOLD.reset(told)
        spark.sparkContext.setLocalProperty("qarm.test", None)  # type: ignore[arg-type]
    assert found == [("here", "the run")]
