"""A warehouse with codes of one night."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lake.lake import Lake
from schemas.settings import load_settings
from tests.jobs.nights import Night, unpublished


@pytest.fixture(scope="session")
def embedded(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Embeddings without codes, to read only."""

    def make(location: str) -> Lake:
        return Lake(spark, load_settings(), location)

    return unpublished(make, tmp_path_factory.mktemp("embedded"))


@pytest.fixture(scope="session")
def first_night(embedded: Night, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """One night at the defaults, for others to go on from."""
    folder = tmp_path_factory.mktemp("first") / "warehouse"
    made = embedded.copy(Lake(embedded.lake.spark, load_settings(), str(folder)), folder)
    made.metrics = made.run()
    return made


@pytest.fixture
def night(first_night: Night, make_lake: Callable[..., Lake], tmp_path: Path) -> Night:
    return first_night.copy(make_lake(location=str(tmp_path / "copy")), tmp_path / "copy")


@pytest.fixture
def new(embedded: Night, make_lake: Callable[..., Lake], tmp_path: Path) -> Night:
    return embedded.copy(make_lake(location=str(tmp_path / "copy")), tmp_path / "copy")
