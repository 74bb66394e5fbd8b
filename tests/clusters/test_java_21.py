"""The night on Java 21; all other tests run on the Java of the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clusters.nights import JOBS, Small
from tests.quick_spark import JVM


@pytest.mark.cluster
@pytest.mark.timeout(2400)
def test_the_night_runs_on_java_21(java_21: Path, small_night: Small, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse"
    options = ["--verbose", "--master", "local[2]", "--conf", f"spark.driver.extraJavaOptions={JVM} -showversion"]
    done = small_night.run(str(warehouse), options=options, cwd=tmp_path, environment={"JAVA_HOME": str(java_21)})
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'openjdk version "21.' in done.stderr, "Spark ran on another Java"
    outcome = json.loads((warehouse / "outcome.json").read_text())
    assert [job["status"] for job in outcome["jobs"]] == ["done"] * JOBS
