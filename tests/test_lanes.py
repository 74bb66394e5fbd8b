"""The lane without Spark stays without."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest

from tests.conftest import InOneProcess


def test_a_test_that_asks_for_no_spark_starts_no_jvm() -> None:
    start = "import lake.session, schemas.settings as s; lake.session.start_session('none', s.load_settings().spark)"
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "a test without the fixture spark or own_spark starts no JVM" in done.stderr


def test_tests_with_spark_are_marked_by_their_fixtures(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        asks = not {"spark", "cluster", "own_spark"}.isdisjoint(getattr(item, "fixturenames", ()))
        assert (item.get_closest_marker("spark") is not None) == asks, item.nodeid


def test_one_process_gets_a_whole_file_and_all_of_a_night() -> None:
    scope = partial(InOneProcess._split_scope, None)
    assert (
        scope("tests/lake/test_x.py::test_a[1]") == scope("tests/lake/test_x.py::test_b") != scope("tests/y.py::test")
    )
    assert scope("tests/end_to_end/test_x.py::test_a") == scope("tests/end_to_end/test_y.py::test_b")
