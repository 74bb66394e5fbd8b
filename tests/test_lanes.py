"""The lane without Spark stays without."""

from __future__ import annotations

import pytest
from pyspark.errors import PySparkRuntimeError

from lake.session import start_session
from schemas.settings import load_settings


def test_a_test_that_asks_for_no_spark_starts_no_jvm() -> None:
    with pytest.raises(PySparkRuntimeError, match="JAVA_GATEWAY_EXITED"):
        start_session("none", load_settings().spark)


def test_tests_with_spark_are_marked_by_their_fixtures(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        asks = not {"spark", "cluster", "own_spark"}.isdisjoint(getattr(item, "fixturenames", ()))
        assert (item.get_closest_marker("spark") is not None) == asks, item.nodeid
