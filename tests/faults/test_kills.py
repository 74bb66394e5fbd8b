"""Nights that are killed again and again end with the tables of a night that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import deltalake
import numpy as np
import pandas as pd
import pytest

from schemas.files import ROOT
from tests import generate

ATTEMPTS = 60
RANDOM_KILLS = 30
LOCK = ["nightly.heartbeat_seconds=1", "nightly.expires_seconds=4"]


@dataclass
class Nightly:
    """Starts nightlies on one warehouse, each a process of its own.

    Attributes:
        folder: folder of the warehouse and the logs.
        arguments: options of the nightly.
        tally: what became of each start.
    """

    folder: Path
    arguments: list[str]
    tally: list[str] = field(default_factory=list)

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    def start(self) -> tuple[subprocess.Popen[bytes], Path]:
        log = self.folder / f"{len(self.tally)}.log"
        command = [str(ROOT / "spark-submit.sh"), "nightly", "--warehouse", str(self.warehouse), *self.arguments]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command, stdout=stream, stderr=stream, start_new_session=True, cwd=self.folder,
                env={**os.environ, "QARM_PYTHON": sys.executable, "PYTHONPATH": ""},
            )  # fmt: skip
        return process, log

    def killed_when(self, pattern: str | None, seconds: float) -> bool:
        """Starts a nightly, and kills it and all its processes when its log shows a pattern, or after some seconds.

        Returns:
            Whether it was killed; False if it ended before.
        """
        process, log = self.start()
        ends = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < ends:
            if pattern is not None and re.search(pattern, log.read_text(errors="replace")):
                break
            time.sleep(0.05)
        if process.poll() is not None:
            assert process.returncode == 0, log.read_text(errors="replace")[-3000:]
            self.tally.append("ended")
            return False
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.tally.append(f"killed at {pattern or f'{seconds:.0f} s'}")
        return True

    def to_its_end(self) -> None:
        process, log = self.start()
        assert process.wait(timeout=600) == 0, log.read_text(errors="replace")[-3000:]
        self.tally.append("ended")

    def read(self, table: str) -> pd.DataFrame:
        return deltalake.DeltaTable(str(self.warehouse / table)).to_pandas()


@pytest.fixture(scope="module")
def options(own_spark: list[str], tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    log, items = generate.write(tmp_path_factory.mktemp("input"), users=30, days=20)
    made = ["--interactions", log, "--items", items, "--rename", generate.RENAME, *own_spark]
    made += ["--master", "local[2]", "--conf", "spark.sql.shuffle.partitions=2", "--conf", "spark.ui.enabled=false"]
    small = [*generate.SMALL, "embed.layer=2", "align.layers=2", f'language_model.model="{tiny}"', *LOCK]
    return made + [part for setting in small for part in ("--set", setting)]


@pytest.fixture(scope="module")
def undisturbed(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Nightly:
    made = Nightly(tmp_path_factory.mktemp("undisturbed"), options)
    made.to_its_end()
    return made


def assert_same(one: Nightly, other: Nightly) -> None:
    """Compares the tables of two nights: to the bit where a stage is deterministic, else up to ALS's rounding."""
    exact = {
        "interactions": ["user_id", "item_id", "event_time", "action", "weight"],
        "items": ["item_id", "content_hash"],
        "item_pairs": ["source", "trigger_item_id", "target_item_id", "score", "support", "verdict"],
        "item_questions": ["item_id", "question", "answer"],
        "semantic_ids": ["item_id", "sid", "content_hash", "reconstruction_error"],
        "sid_changes": ["item_id", "reason", "new_sid"],
        "ranker_examples": [
            "example_id",
            "user_id",
            "item_id",
            "event_time",
            "days_from",
            "label_click",
            "history_length",
        ],
    }
    for table, columns in exact.items():
        tables = [n.read(table)[columns].sort_values(columns, ignore_index=True) for n in (one, other)]
        pd.testing.assert_frame_equal(*tables, check_exact=True, obj=table)
    vectors = [n.read("item_embeddings").sort_values("item_id")["embedding"].map(list).to_list() for n in (one, other)]
    np.testing.assert_array_equal(*vectors)
    scores = [n.read("predictions").sort_values("example_id")["score_click"].to_numpy() for n in (one, other)]
    np.testing.assert_allclose(*scores, atol=0.02)


class Reader:
    """Reads what is published, all the while, as a program without Spark does."""

    def __init__(self, warehouse: Path) -> None:
        self._warehouse = warehouse
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.mixtures: list[str] = []
        self.polls = 0

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._ended.wait(0.2):
            pointer = self._warehouse / "published.json"
            if not pointer.exists():
                continue
            told = json.loads(pointer.read_text())
            read = {
                n: deltalake.DeltaTable(t["path"].removeprefix("file:"), version=t["version"])
                for n, t in told["tables"].items()
            }
            codes, items = (set(read[name].to_pandas()["item_id"]) for name in ("semantic_ids", "items"))
            scored = set(read["predictions"].to_pandas()["example_id"])
            examples = set(read["ranker_examples"].to_pandas()["example_id"])
            if codes != items or not scored <= examples:
                self.mixtures.append(told["run_id"])
            self.polls += 1


def print_tally(night: Nightly) -> None:
    killed = sum(entry.startswith("killed") for entry in night.tally)
    print(f"\n{killed} kills, {len(night.tally)} starts: nothing lost, nothing half-published")


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_killed_at_every_boundary_of_jobs(undisturbed: Nightly, options: list[str], tmp_path: Path) -> None:
    night = Nightly(tmp_path, options)
    with Reader(night.warehouse) as reader:
        for number in range(1, 14):
            assert night.killed_when(rf"\[{number}/13\] \w+: (?!up to date)", seconds=300)
            pointer = night.warehouse / "published.json"
            assert not pointer.exists() or number > 12, "nothing is published before the night is whole"
        night.to_its_end()
        time.sleep(1)
    assert_same(night, undisturbed)
    assert reader.mixtures == []
    assert reader.polls > 0
    assert not [*(night.warehouse / "_training").glob("*"), *(night.warehouse / "_locks").glob("*")]
    print_tally(night)


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_killed_at_random_moments(undisturbed: Nightly, options: list[str], tmp_path: Path) -> None:
    night, draw = Nightly(tmp_path, options), random.Random(17)
    kills = 0
    for _ in range(ATTEMPTS):
        kills += night.killed_when(None, draw.uniform(10, 60))
        if kills == RANDOM_KILLS:
            break
        if night.tally[-1] == "ended":  # the night is whole: the next one starts it anew
            night.arguments = [*options, "--force"]
    night.arguments = options
    night.to_its_end()
    assert kills == RANDOM_KILLS
    assert_same(night, undisturbed)
    print_tally(night)


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_a_damaged_artifact_is_named(undisturbed: Nightly, options: list[str]) -> None:
    codebooks = undisturbed.warehouse / "_artifacts" / "codebook"
    file = codebooks / (codebooks / "CURRENT").read_text().strip() / "codebook.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    try:
        process, log = undisturbed.start()
        undisturbed.tally.append("damaged artifact")
        assert process.wait(timeout=300) == 0, "nobody reads it: all is up to date"
        forced = Nightly(undisturbed.folder, [*options, "--only", "assign_semantic_ids"], [*undisturbed.tally])
        process, log = forced.start()
        assert process.wait(timeout=300) == 1
        assert "codebook.safetensors is damaged (its checksum differs)" in log.read_text()
    finally:
        file.write_bytes(whole)
