"""A warehouse with codes of one night."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lake.run import Lake
from schemas.settings import load_settings
from tests.jobs.nights import Night, unpublished


@pytest.fixture(scope="session")
def first_night(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """One night at the defaults, for others to go on from."""

    def make(location: str) -> Lake:
        return Lake(spark, load_settings(), location)

    made = unpublished(make, tmp_path_factory.mktemp("first"))
    made.metrics = made.run()
    return made


@pytest.fixture
def night(first_night: Night, make_lake: Callable[..., Lake], tmp_path: Path) -> Night:
    shutil.copytree(Path(first_night.lake.location), tmp_path / "copy")
    other = copy.copy(first_night)
    other.lake = make_lake(location=str(tmp_path / "copy"))
    other.vectors = dict(first_night.vectors)
    return other


@pytest.fixture
def new(make_lake: Callable[..., Lake], tmp_path: Path) -> Night:
    return unpublished(make_lake, tmp_path)
