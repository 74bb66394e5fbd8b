"""The lane without Spark stays without."""

from __future__ import annotations

import pytest
from pyspark.errors import PySparkRuntimeError

from lake.session import start_session
from schemas.settings import load_settings


def test_a_test_that_asks_for_no_spark_starts_no_jvm() -> None:
    with pytest.raises(PySparkRuntimeError, match="JAVA_GATEWAY_EXITED"):
        start_session("none", load_settings().spark)


def test_tests_with_spark_are_marked_by_their_fixtures_and_come_last(request: pytest.FixtureRequest) -> None:
    marked = [item.get_closest_marker("spark") is not None for item in request.session.items]
    asking = ["spark" in item.fixturenames or "cluster" in item.fixturenames for item in request.session.items]  # type: ignore[attr-defined]
    assert marked == sorted(marked)
    assert all(mark for mark, asks in zip(marked, asking, strict=True) if asks)
