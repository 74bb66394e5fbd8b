"""A small night, to its end, by spark-submit.sh."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.files import ROOT
from tests import generate

JOBS = 13
"""Jobs of a whole night."""

SETTINGS = (*generate.SMALL, "embed.layer=2", "align.layers=2")


@dataclass(frozen=True)
class Ended:
    """What a night left behind: its exit code, and what it wrote to stdout and stderr."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Small:
    """What every small night has in common.

    Attributes:
        interactions, items: the input files, on this machine.
        options: options of spark-submit.sh.
    """

    interactions: str
    items: str
    options: tuple[str, ...]

    def run(
        self,
        warehouse: str,
        *,
        inputs: tuple[str, str] | None = None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        cwd: Path,
    ) -> Ended:
        """Runs the nightly.

        Args:
            warehouse: its URL.
            inputs: URLs of log and catalogue; None for the files on this machine.
            options: further options.
            environment: further variables of the environment.
            cwd: the folder that it is started in, and in which its stderr is written to night.log.
        """
        log, items = inputs or (self.interactions, self.items)
        command = [str(ROOT / "spark-submit.sh"), "nightly", "--warehouse", warehouse, *self.options, *options]
        command += ["--interactions", log, "--items", items, "--rename", generate.RENAME]
        told = {**os.environ, "QARM_PYTHON": sys.executable, "PYTHONPATH": "", **(environment or {})}
        log = cwd / "night.log"
        with log.open("w") as stream:  # a file, so that a person can look on
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=stream, text=True, cwd=cwd, timeout=1800, check=False, env=told
            )
        return Ended(done.returncode, done.stdout, log.read_text(encoding="utf-8", errors="replace"))


def small(log: str, items: str, model: Path) -> Small:
    """A small night with the tests' tiny language model."""
    options = ["--conf", "spark.sql.shuffle.partitions=2", "--conf", "spark.ui.enabled=false"]
    options += ["--conf", "spark.databricks.delta.snapshotPartitions=2"]
    for setting in (*SETTINGS, f'language_model.model="{model}"'):
        options += ["--set", setting]
    return Small(log, items, tuple(options))
