"""A second night, over a new file of the log and changed items, that is killed at its most delicate moments."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from tests import generate
from tests.faults.nightly import Nightly
from tests.faults.reader import Reader
from tests.faults.same import assert_same, differences

RANDOM_KILLS = 6
TRAINS = "train_ranker: train qarm"


@pytest.fixture(scope="module")
def next_day(inputs: Path) -> Iterator[None]:
    """One more day, a late event, a changed and a new item; at the end, the inputs are as they were."""
    day = pd.DataFrame(
        [(f"u{n % 30:03d}", f"wine_{n % 5}_{n % 4}", pd.Timestamp("2025-03-21 09:00") + pd.Timedelta(minutes=n))
         for n in range(90)]
        + [("u001", "baby_0_0", pd.Timestamp("2025-03-04 23:59:59"))],
        columns=["shopper", "sku", "at"],
    )  # fmt: skip
    file, items, kept = inputs / "log" / "next.parquet", inputs / "items.csv", inputs / "items.before"
    day.to_parquet(file, coerce_timestamps="us")
    items.rename(kept)
    changed = generate.catalogue()
    changed.loc[changed["sku"] == "wine_0_0", "title"] = "lager beer six pack"
    changed.loc[len(changed)] = {"sku": "wine_9_9", "title": "mulled wine", "category": "wine", "maker": "maker 9"}
    changed.to_csv(items, index=False)
    yield
    file.unlink()
    kept.rename(items)


@pytest.fixture(scope="module")
def second(undisturbed: Nightly, next_day: None, tmp_path_factory: pytest.TempPathFactory) -> Nightly:
    """The undisturbed second night."""
    made = undisturbed.copy(tmp_path_factory.mktemp("second"))
    log = made.to_its_end()
    assert "builds all examples" not in log
    assert "begins anew" not in log
    assert TRAINS in log
    assert {"items", "interactions", "ranker_examples", "semantic_ids"} <= {*differences(made, undisturbed)}
    return made


def jobs_done(night: Nightly) -> int:
    """Number of runs of build_examples that are on record as done."""
    runs = night.read("runs")
    return int(((runs["job"] == "build_examples") & (runs["status"] == "done")).sum())


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_killed_at_delicate_moments(undisturbed: Nightly, second: Nightly, spark: SparkSession, tmp_path: Path) -> None:
    night = undisturbed.copy(tmp_path)
    checkpoints = night.warehouse / "_training"
    with Reader(night.warehouse, spark) as reader:
        assert night.killed_when(r'ingest: write interactions"', after=0.2), "within the merge"
        assert "ingest: write interactions:" not in (tmp_path / "1.log").read_text()
        before = jobs_done(night)
        rows = len(night.read("ranker_examples"))
        assert night.killed_when(r"build_examples: write ranker_examples: [\d.]+ s"), "written, but not on record"
        assert jobs_done(night) == before
        assert len(night.read("ranker_examples")) > rows
        assert night.killed_when(lambda: [*checkpoints.glob("ranker-qarm-*.safetensors")]), "within a training"
        assert "begins anew" not in (tmp_path / "3.log").read_text()
        assert reader.sees(1), "readers see the first night as long as the second one is not whole"
        night.to_its_end()
        assert reader.sees(2)
    assert_same(night, second)
    assert reader.mixtures == []
    assert not [*checkpoints.glob("*"), *(night.warehouse / "_locks").glob("*")]


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_killed_at_random_moments(undisturbed: Nightly, second: Nightly, tmp_path: Path) -> None:
    night, draw = undisturbed.copy(tmp_path), random.Random(29)
    kills = sum(night.killed_when(r"\[1/13\]", after=draw.uniform(0, 30)) for _ in range(RANDOM_KILLS))
    night.to_its_end()
    assert kills >= RANDOM_KILLS - 2, "the others found the night whole"
    assert_same(night, second)
