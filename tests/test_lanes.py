"""The lane without Spark stays without."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_a_test_that_asks_for_no_spark_starts_no_jvm() -> None:
    start = "import lake.session, schemas.settings as s; lake.session.start_session('none', s.load_settings().spark)"
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "a test without the fixture spark or own_spark starts no JVM" in done.stderr


def test_tests_with_spark_are_marked_by_their_fixtures(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        asks = not {"spark", "cluster", "own_spark"}.isdisjoint(getattr(item, "fixturenames", ()))
        assert (item.get_closest_marker("spark") is not None) == asks, item.nodeid
