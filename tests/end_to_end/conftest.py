"""One night for all tests of this folder, which run in one process (tests/conftest.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests import generate
from tests.end_to_end.world import PLANTED, World


@pytest.fixture(scope="session")
def world(spark: SparkSession, smollm: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """To read only; a test that writes asks for a copy."""
    folder = tmp_path_factory.mktemp("nightly")
    log, items = generate.write(folder / "input")
    inputs = ["--interactions", log, "--items", items, "--rename", generate.RENAME]
    made = World(folder, folder / "warehouse", [*inputs, "--set", f"language_model.model={smollm}"])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in PLANTED.items():
            patch.setenv(name, value)
        night = made.night()
    assert night.closing["status"] == "done"
    (folder / "first-night.log").write_text(night.log + json.dumps(night.closing))
    return made
