from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession

from lake.session import GATEWAY, LAUNCHED, give_back_heap, start_session
from schemas.settings import Settings


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
