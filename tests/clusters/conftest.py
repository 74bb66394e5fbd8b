"""Clusters on this machine, and a small night for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.files import ROOT
from tests import generate
from tests.clusters.hadoop import HadoopCluster, hadoop_cluster
from tests.clusters.java21 import java_home
from tests.clusters.nights import Small, small
from tests.clusters.object_store import ObjectStore, object_store

SERVERS = ROOT / ".venv-clusters" / "bin" / "python"
"""The environment of what the tests start and qarm does not need: the S3 server and a Java 21. Not in qarm's own, whose
versions are Petastorm's."""


@pytest.fixture(scope="session")
def small_night(own_spark: list[str], tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Small:
    log, items = generate.write(tmp_path_factory.mktemp("input"), users=30, days=20)
    return small(log, items, tiny)


@pytest.fixture(scope="session")
def hadoop(own_spark: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HadoopCluster]:
    with hadoop_cluster(tmp_path_factory.mktemp("hadoop")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def servers() -> Path:
    assert SERVERS.exists(), f"{SERVERS} is missing; make clusters makes it"
    return SERVERS


@pytest.fixture(scope="session")
def s3(servers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(servers, tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture(scope="session")
def java_21(servers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for JAVA_HOME."""
    return java_home(servers, tmp_path_factory.mktemp("java21"))
