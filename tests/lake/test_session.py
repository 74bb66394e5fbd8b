from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from lake.session import give_back_heap


def test_garbage_of_the_jvm_is_collected_at_once(spark: SparkSession) -> None:
    jvm: Any = spark._jvm
    forgotten = jvm.java.lang.ref.WeakReference("a string that the JVM alone was given")
    give_back_heap(spark)
    assert forgotten.get() is None
