"""One undisturbed night for all tests of this folder, and the tally at their end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import generate
from tests.faults import tally
from tests.faults.nightly import Nightly, kill_left

LOCK = ["nightly.heartbeat_seconds=1", "nightly.expires_seconds=4"]
CHECKPOINTS = ["align.checkpoint_steps=1", "ranker.checkpoint_steps=1"]
GOES_ON = ["increments.pairs.new_share=0.5", "increments.behaviour.new_share=0.5"]
"""A day of a log of a few weeks is more than a tenth of it."""
GATE = ["gate.most_lost_auc=0.5", "gate.most_new_collisions=0.5"]
"""The data of the tests is made up, and its night may be worse."""


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log, a folder of one file, and the catalogue."""
    folder = tmp_path_factory.mktemp("input")
    log, _ = generate.write(folder, users=30, days=20)
    (folder / "log").mkdir()
    Path(log).rename(folder / "log" / "first.parquet")
    return folder


@pytest.fixture(scope="session")
def options(own_spark: list[str], tiny: Path, inputs: Path) -> list[str]:
    made = ["--interactions", str(inputs / "log"), "--items", str(inputs / "items.csv"), "--rename", generate.RENAME]
    made += [*own_spark, "--conf", "spark.sql.shuffle.partitions=2", "--conf", "spark.ui.enabled=false"]
    made += ["--master", "local[2]"]
    small = [*generate.SMALL, "embed.layer=2", "align.layers=2", f'language_model.model="{tiny}"']
    small += [*LOCK, *CHECKPOINTS, *GOES_ON, *GATE]
    return made + [part for setting in small for part in ("--set", setting)]


@pytest.fixture(scope="session")
def undisturbed(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Nightly:
    """To read only; a test that starts nightlies takes a copy."""
    made = Nightly(tmp_path_factory.mktemp("undisturbed"), options)
    made.to_its_end()
    return made


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    yield
    kill_left()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    if tally.DONE:
        terminalreporter.section("faults")
        terminalreporter.write_line(tally.text(passed=exitstatus == pytest.ExitCode.OK))
