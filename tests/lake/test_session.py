from __future__ import annotations

import os
import sys
from typing import Any

import psutil
import pytest
from pyspark.sql import SparkSession

from lake.session import DAEMON, GATEWAY, LAUNCHED, give_back_heap, start_session
from schemas.settings import Settings
from udfs import daemon


def test_garbage_of_the_jvm_is_collected_at_once(spark: SparkSession) -> None:
    jvm: Any = spark._jvm
    forgotten = jvm.java.lang.ref.WeakReference("a string that the JVM alone was given")
    give_back_heap(spark)
    assert forgotten.get() is None


@pytest.mark.parametrize("by", [LAUNCHED, GATEWAY])
def test_what_spark_submit_was_given_is_not_set_again(
    by: str, spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In cluster mode, the --conf of the user has been read when the driver starts: our own would replace it."""
    monkeypatch.setenv(by, "1")
    ours = settings.spark.model_copy(update={"conf": {"spark.qarm.probe": "ours"}, "shuffle_partitions": 2})
    start_session("again", ours)
    assert spark.conf.get("spark.qarm.probe", "the user's") == "the user's"


def test_python_workers_are_forked_of_a_process_that_has_imported_what_they_need(spark: SparkSession) -> None:
    def seen(_: int) -> tuple[list[str], bool]:
        return psutil.Process().parent().cmdline(), "udfs.embed" in sys.modules  # type: ignore[union-attr]

    [(forked_by, has_imported)] = spark.sparkContext.parallelize([0], 1).map(seen).collect()
    assert DAEMON in forked_by
    assert has_imported


def test_a_module_that_cannot_be_imported_stops_no_daemon(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(name: str) -> None:
        os.system(f"echo loading {name}")
        raise ImportError("no such library")

    monkeypatch.setattr(daemon, "import_module", refuse)
    daemon.preload()
    print("the port")
    out, err = capfd.readouterr()
    assert out == "the port\n", "Spark reads the port from what the daemon prints"
    assert "loading udfs.anchors" in err
    assert "no such library" in err
