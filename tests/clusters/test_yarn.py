"""The night on YARN, with the warehouse and the inputs in HDFS."""

from __future__ import annotations

import json
from pathlib import Path

import deltalake
import pytest

from tests import generate
from tests.clusters.hadoop import HadoopCluster
from tests.clusters.nights import JOBS, Small
from tests.quick_spark import QUICK_CLUSTER

JVM_OPTIONS = [part for name, value in QUICK_CLUSTER.items() for part in ("--conf", f"{name}={value}")]


@pytest.fixture(scope="module")
def inputs(hadoop: HadoopCluster, small_night: Small) -> tuple[str, str]:
    files = (small_night.interactions, small_night.items)
    log, items = (hadoop.put(file, Path(file).name) for file in files)
    return log, items


def assert_whole(hadoop: HadoopCluster, name: str, folder: Path) -> None:
    """A night that ended: it says so, it is published, and its tables hold what they should."""
    copy = hadoop.copy_to(f"/{name}", folder / name)
    outcome = json.loads((copy / "outcome.json").read_text())
    assert outcome["status"] == "done"
    assert [job["status"] for job in outcome["jobs"]] == ["done"] * JOBS
    told = json.loads((copy / "published.json").read_text())
    codes, predictions = (
        deltalake.DeltaTable(str(copy / table), version=told["tables"][table]["version"]).to_pandas()
        for table in ("semantic_ids", "predictions")
    )
    assert set(codes["item_id"]) == set(generate.catalogue()["sku"])
    assert len(predictions) > 0
    assert told["tables"]["semantic_ids"]["path"] == f"{hadoop.hdfs}/{name}/semantic_ids"
    assert "<html" in (copy / "report.html").read_text()


@pytest.mark.cluster
@pytest.mark.timeout(2400)
def test_client_mode(hadoop: HadoopCluster, small_night: Small, inputs: tuple[str, str], tmp_path: Path) -> None:
    done = small_night.run(
        f"{hadoop.hdfs}/client", inputs=inputs, options=[*hadoop.options, *JVM_OPTIONS], cwd=tmp_path,
        environment={"HADOOP_CONF_DIR": str(hadoop.configuration)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.strip().splitlines()[-1])["status"] == "done"
    assert_whole(hadoop, "client", tmp_path)


@pytest.mark.cluster
@pytest.mark.timeout(2400)
def test_cluster_mode(hadoop: HadoopCluster, small_night: Small, inputs: tuple[str, str], tmp_path: Path) -> None:
    done = small_night.run(
        f"{hadoop.hdfs}/cluster", inputs=inputs, cwd=tmp_path,
        options=[*hadoop.options, *JVM_OPTIONS, "--deploy-mode", "cluster"],
        environment={"HADOOP_CONF_DIR": str(hadoop.configuration)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert any("[13/13] report" in text for text in hadoop.printed()), "the driver ran in a container"
    assert_whole(hadoop, "cluster", tmp_path)
