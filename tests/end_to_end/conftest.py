"""One night for all tests of this folder, which run in one process (tests/conftest.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests import generate
from tests.end_to_end.world import World


@pytest.fixture(scope="session")
def world(spark: SparkSession, smollm: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """To read only; a test that writes asks for a copy."""
    folder = tmp_path_factory.mktemp("nightly")
    log, items = generate.write(folder / "input")
    inputs = ["--interactions", log, "--items", items, "--rename", generate.RENAME]
    made = World(folder, folder / "warehouse", [*inputs, "--set", f"language_model.model={smollm}"])
    assert made.night().closing["status"] == "done"
    return made
