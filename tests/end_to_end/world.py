"""A warehouse in which a whole night ran, and what tests ask of it."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import deltalake
import pandas as pd
from pyspark.sql import SparkSession

from jobs import nightly
from jobs.examples.frame import Frame
from lake.command import main
from lake.lake import Lake
from schemas.settings import load_settings
from tests import generate
from tests.warehouses import copy_folder

PLANTED = {
    "QARM_WEBHOOK": "http://127.0.0.1:9/planted-webhook-secret",
    "AWS_ACCESS_KEY_ID": "planted-access-key",
    "AWS_SECRET_ACCESS_KEY": "planted-secret-key",
    "OPENAI_API_KEY": "planted-api-key",
}
"""Credentials in the environment of the first night."""


@dataclass
class Night:
    """What a nightly printed: its closing line on stdout, and all of stderr."""

    closing: dict
    log: str


@dataclass
class World:
    """A warehouse, and the options of the nightly that made it."""

    folder: Path
    warehouse: Path
    inputs: list[str]

    def read(self, table: str) -> pd.DataFrame:
        return deltalake.DeltaTable(str(self.warehouse / table)).to_pandas()

    def frame(self) -> Frame:
        """What the newest examples stand on."""
        indexes = self.warehouse / "_artifacts" / "search_index"
        manifest = indexes / (indexes / "CURRENT").read_text().strip() / "MANIFEST.json"
        return Frame.from_card(json.loads(manifest.read_text())["card"]["frame"])

    def examples(self) -> pd.DataFrame:
        """``ranker_examples`` with their split."""
        frame, rows = self.frame(), self.read("ranker_examples")
        split = {block: name for name in ("train", "valid", "test") for block in frame.blocks_of(name)}
        return rows.assign(split=rows["days_from"].map(split))

    def metric(self, name: str, slice: str) -> float:
        rows = self.read("metrics")
        rows = rows[(rows["name"] == name) & (rows["slice"] == slice)].sort_values("created_at")
        return float(rows["value"].iloc[-1])

    def copy(self, name: str) -> World:
        """A world whose warehouse is as this one's is now, to write to."""
        copy_folder(self.warehouse, self.folder / name)
        return World(self.folder, self.folder / name, self.inputs)

    def settings(self) -> list[str]:
        return [part for assignment in generate.SMALL for part in ("--set", assignment)]

    def night(self, *more: str, code: int = 0) -> Night:
        """Runs the nightly, which has to end with an exit code."""
        out, err = io.StringIO(), io.StringIO()
        arguments = ["--warehouse", str(self.warehouse), *self.inputs, *self.settings(), *more]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = main(nightly.COMMAND, arguments)
        assert ended == code, err.getvalue()[-3000:]
        lines = out.getvalue().strip().splitlines()
        return Night(json.loads(lines[-1]) if lines else {}, err.getvalue())

    def seen(self, spark: SparkSession) -> str:
        """The run_id of the night that readers see."""
        current = Lake(spark, load_settings(), str(self.warehouse)).published.current()
        assert current is not None
        return current.run_id
