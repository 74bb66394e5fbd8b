"""The job that trains the rankers: kills, processes, last night's weights. And the rows that items get."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pyspark.sql import SparkSession
from safetensors.torch import load_file

from jobs import evaluate, train_ranker
from jobs.examples.frame import Frame
from jobs.examples.search_index import ITEM_IDS, content_numbers, item_index, nearest_rows, write_search_index
from jobs.training import rankers
from jobs.training.increment import count_rows
from lake.declaration import Job
from lake.execution import new_run_id, run_job
from lake.frames import frame_of
from lake.lake import Lake
from lake.periods import Periods
from lake.run import Run
from models.ranker.training import training
from schemas.errors import UserError
from schemas.examples import ranker_examples
from schemas.features import PARTS
from schemas.settings import load_settings
from schemas.tables import INTERACTIONS, ITEMS
from tests.ranker_batches import batch
from tests.warehouses import copy_of
from udfs.arrays import feature_column

SMALL = [
    "ranker.item_dim=8", "ranker.sid_dim=8", "ranker.hidden=[8]", "ranker.heads=2", "ranker.batch_size=32",
    "ranker.max_epochs=2", "ranker.checkpoint_steps=3", "ranker.shuffle_rows=64", "ranker.dropout=0.0",
    "increments.on=false", "ranker.item_sums=false",
]  # fmt: skip
ROWS = {1: 200, 2: 100, 3: 10}
"""Rows by day of January 2025: train, validation and test."""
DAYS = tuple(date(2025, 1, day) for day in (1, 2, 3, 4))
FRAME = Frame(Periods(DAYS[0], DAYS[1], DAYS[1], DAYS[2]), DAYS[:3], (), "run-1")
NEXT_FRAME = Frame(Periods(DAYS[0], DAYS[2], DAYS[2], DAYS[3]), DAYS, (), "run-1")


def write_examples(lake: Lake, rows_of: Mapping[int, int] = ROWS, seed: int = 0) -> None:
    """Adds examples to the table."""
    contract = ranker_examples(["click"])
    tables = []
    for day, rows in rows_of.items():
        columns = batch(rows, seed=seed + day)
        arrays = {name: feature_column(values.numpy(), PARTS.get(name, ())) for name, values in columns.items()}
        ids = {"days_from": [date(2025, 1, day)] * rows, "example_id": [f"{day}-{seed}-{i}" for i in range(rows)]}
        tables.append(pa.table(arrays | ids))
    rest = {
        "user_id": "'u'", "item_id": "'i'", "event_time": "'2025-01-01'", "recent_length": "4", "found_length": "4",
        "log_q": "0",
    }  # fmt: skip
    rows = lake.spark.createDataFrame(pa.concat_tables(tables)).selectExpr(
        *(
            f"CAST({rest.get(column.name, column.name)} AS {column.type}) AS {column.name}"
            for column in contract.columns
        )
    )
    lake.warehouse.append(contract, rows.repartition(3, "example_id"))


def publish_index(lake: Lake, folder: Path, ids: list[str], codebook: str, frame: Frame = FRAME) -> None:
    folder.mkdir()
    pq.write_table(pa.table({"item_id": ids}), folder / ITEM_IDS)
    lake.artifacts.publish(
        "search_index", folder,
        {"recipe": {}, "items": 2 + len(ids), "codes": [5, 5, 5], "item_ids": "vocabulary", "codebook": codebook,
         "frame": frame.as_card()},
    )  # fmt: skip


@pytest.fixture(scope="module")
def untrained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Examples and a search index; its tests write to copies."""
    folder = tmp_path_factory.mktemp("untrained")
    made = Lake(spark, load_settings(), str(folder / "warehouse"))
    write_examples(made)
    publish_index(made, folder / "index", [f"i{i}" for i in range(18)], "codebook-1")
    return made


@pytest.fixture(scope="module")
def once_trained(untrained: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = copy_of(untrained, tmp_path_factory.mktemp("trained") / "warehouse")
    run(made)
    return made


@pytest.fixture
def lake(untrained: Lake, tmp_path: Path) -> Lake:
    """Without rankers."""
    return copy_of(untrained, tmp_path / "copy")


@pytest.fixture
def with_rankers(once_trained: Lake, tmp_path: Path) -> Lake:
    """After a first training."""
    return copy_of(once_trained, tmp_path / "copy")


def run(lake: Lake, *assignments: str, job: Job = train_ranker.JOB) -> dict[str, float]:
    settings = load_settings((), [*SMALL, *assignments])
    return dict(run_job(Lake(lake.spark, settings, lake.location), job, new_run_id()).metrics)


def trained(lake: Lake) -> dict[str, dict[str, torch.Tensor]]:
    folder = lake.artifacts.fetch(lake.artifacts.require("ranker", "train_ranker"))
    return {name: load_file(folder / f"{name}.safetensors") for name in train_ranker.MODELS}


def test_a_killed_job_goes_on(with_rankers: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = with_rankers
    whole = trained(lake)
    assert lake.ledger.last_done()["train_ranker"].metrics["ranker.resumed_at/qarm"] == 0
    step = training._Training.train

    def killed(self: training._Training, rows: object) -> float:
        if self.step == 8:
            raise KeyboardInterrupt
        return step(self, rows)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training._Training, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            run(lake)
    states = lake.files.local_path(lake.warehouse.root) / "_training"  # type: ignore[operator]
    assert len(list(states.glob("ranker-qarm-*.safetensors"))) == 1
    again = run(lake)
    assert again["ranker.resumed_at/qarm"] == 6
    assert not list(states.iterdir()), "what was finished leaves nothing behind"
    resumed = trained(lake)
    for name, weights in whole.items():
        for key, value in weights.items():
            assert torch.equal(value, resumed[name][key]), (name, key)


@pytest.mark.cluster
def test_two_processes_under_sparks_distributor_do_as_one(lake: Lake) -> None:
    whole_split = "ranker.batch_size=256"  # one step an epoch, so that the processes' shares make no difference
    run(lake, whole_split)
    alone = trained(lake)
    run(lake, whole_split, "ranker.processes=2")
    for name, weights in trained(lake).items():
        for key, value in weights.items():
            # Adam divides a gradient by its own size: of one that is next to nothing, only the rounding is left.
            close = torch.isclose(value, alone[name][key], rtol=1e-4, atol=1e-5).float()
            assert close.mean() > 0.999, f"{name} {key}"
            torch.testing.assert_close(value, alone[name][key], rtol=1e-4, atol=1e-4)


def test_last_nights_weights_are_found_by_item_id(with_rankers: Lake, tmp_path: Path) -> None:
    lake = with_rankers
    before = trained(lake)["qarm"]
    ids = ["new", *(f"i{i}" for i in reversed(range(18)))]
    publish_index(lake, tmp_path / "second", ids, "codebook-1")
    still = ["ranker.warm_start=true", "ranker.learning_rate=1e-12", "ranker.weight_decay=0", "ranker.max_epochs=1"]
    assert run(lake, *still)["ranker.warm_start/qarm"] == 1
    after = trained(lake)["qarm"]
    expected = before["item.weight"][[0, 1, 1, *reversed(range(2, 20))]]
    torch.testing.assert_close(after["item.weight"], expected)
    for name, value in before.items():
        if name != "item.weight":
            torch.testing.assert_close(after[name], value)
    publish_index(lake, tmp_path / "third", ids, "codebook-2")
    assert run(lake, *still)["ranker.warm_start/qarm"] == 1
    refitted = trained(lake)["qarm"]
    torch.testing.assert_close(refitted["item.weight"], expected)
    assert not torch.allclose(refitted["code.0.weight"], before["code.0.weight"]), "other codes, another table"
    assert run(lake, *still, "ranker.hidden=[4]")["ranker.warm_start/qarm"] == 0


def test_a_later_night_goes_on_with_what_is_new(
    with_rankers: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The second day moves to the train split, and a fourth comes; the night after it finds nothing new."""
    caplog.set_level("INFO", "qarm")
    lake, before, last = with_rankers, trained(with_rankers)["qarm"], ("increments.on=true", "increments.ranker.days=9")
    limits = [*last, "increments.ranker.new_share=0.5"]
    ids = [*(f"i{i}" for i in range(18)), "new"]
    write_examples(lake, {3: 40, 4: 100}, seed=7)
    publish_index(lake, tmp_path / "later", ids, "codebook-1", NEXT_FRAME)
    metrics = run(lake, *limits)
    assert (metrics["ranker.train_examples"], metrics["ranker.new_examples"]) == (300, 100)
    card = lake.artifacts.require("ranker", "train_ranker").card
    points = card["curves"]["qarm"]["points"]
    assert points[0].keys() == {"step", "auc"}, "the weights of the night before are validated first"
    assert points[0]["step"] == 0
    assert card["curves"]["qarm"]["best"] >= points[0]["auc"]
    assert points[-1]["step"] <= 2 * math.ceil((100 + 200) / 32)
    after = trained(lake)["qarm"]
    assert after["item.weight"].shape[0] == before["item.weight"].shape[0] + 1
    bins = [name for name in before if "boundaries" in name or "bins" in name or "numbers" in name]
    assert bins
    for name in bins:
        if not name.endswith("weight"):
            torch.testing.assert_close(after[name], before[name])
    again = run(lake, *limits)
    assert again["ranker.new_examples"] == 0
    for name, weight in trained(lake)["qarm"].items():
        torch.testing.assert_close(weight, after[name], msg="nothing is new, so nothing is learned")
    assert "begins anew" not in caplog.text
    # Half of the train examples are kept, so half of those that were built as validation examples are read.
    thin = replace(NEXT_FRAME, origin="run-9", shares=(0.5, 1.0, 1.0), kept=(0.5, 1.0, 1.0, 1.0))
    publish_index(lake, tmp_path / "rebuilt", ids, "codebook-1", thin)
    assert run(lake, *limits)["ranker.new_examples"] == 250
    assert "train_ranker: begins anew: all examples were built again" in caplog.text
    run(lake, *limits, "ranker.seed=4")
    assert "train_ranker: begins anew: settings or code changed" in caplog.text


def test_scores_stand_as_long_as_the_weights_do(with_rankers: Lake) -> None:
    lake, on = with_rankers, "increments.on=true"
    event = [("u", "i", datetime(2025, 1, 1, tzinfo=UTC), "click", 1.0, DAYS[0])]
    lake.warehouse.append(INTERACTIONS, frame_of(lake.spark, event, INTERACTIONS.schema))
    values = {"STRING": "i", "TIMESTAMP": datetime(2025, 1, 1, tzinfo=UTC)}
    item = [tuple(values.get(column.type) for column in ITEMS.columns)]
    lake.warehouse.append(ITEMS, frame_of(lake.spark, item, ITEMS.schema))
    run(lake, on)
    assert "evaluate.new_examples" not in run(lake, on, job=evaluate.JOB), "nothing was scored before"
    write_examples(lake, {3: 40}, seed=7)
    assert run(lake, on)["ranker.new_examples"] == 0
    metrics = run(lake, on, job=evaluate.JOB)
    assert (metrics["evaluate.examples"], metrics["evaluate.new_examples"]) == (150, 40)
    columns = ["example_id", "score_click", "baseline_scores.recent_din_click", "split", "label_click"]

    def scores() -> pd.DataFrame:
        return lake.warehouse.read("predictions").select(*columns).orderBy("example_id").toPandas()

    kept = scores()
    assert "evaluate.new_examples" not in run(lake, job=evaluate.JOB), "increments are off"
    pd.testing.assert_frame_equal(kept, scores(), atol=1e-6)
    write_examples(lake, {1: 300}, seed=9)
    run(lake, on)
    assert "evaluate.new_examples" not in run(lake, on, job=evaluate.JOB), "other weights"


def test_a_limit_makes_the_ranker_begin_anew(
    with_rankers: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "qarm")
    lake = with_rankers
    write_examples(lake, {4: 100}, seed=7)
    publish_index(lake, tmp_path / "later", [f"i{i}" for i in range(18)], "codebook-1", NEXT_FRAME)
    assert run(lake, "increments.on=true", "increments.ranker.new_share=0.3")["ranker.new_examples"] == 300
    assert "begins anew: 33.3% of the train examples and 1 days are new; due at 30% or 28 days" in caplog.text


def test_rankers_of_an_earlier_version_are_not_read(with_rankers: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, quick = with_rankers, "ranker.max_epochs=1"
    with monkeypatch.context() as patch:
        patch.setattr(rankers, "FORMAT", "another")
        assert run(lake, quick, "ranker.warm_start=true")["ranker.warm_start/qarm"] == 0
        with pytest.raises(UserError, match="was made by an earlier qarm; run build_examples and train_ranker"):
            rankers.use_rankers(Run(lake, evaluate.JOB, "run-1"))
    assert run(lake, quick, "ranker.warm_start=true")["ranker.warm_start/qarm"] == 1


def test_mistakes_are_one_line(lake: Lake) -> None:
    with pytest.raises(UserError, match=r"ranker: batch_size must be a multiple of processes, 3"):
        run(lake, "ranker.processes=3")
    with pytest.raises(UserError, match=r"qarm: the loss of step \d+ is (nan|inf); lower ranker.learning_rate"):
        run(lake, "ranker.learning_rate=1e30")


def test_items_get_rows_by_popularity_or_by_hash(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    assert item_index(np.array([3, 0, 9, 2]), 2, None).tolist() == [3, 1, 2, 4]
    assert item_index(np.array([3, 0, 9, 2]), 2, np.array([5, 6, 5, 0])).tolist() == [7, 1, 7, 2]
    kept = np.array([3, 1, 2], np.int32)
    assert item_index(np.array([9, 4, 0, 1, 8]), 2, None, kept).tolist() == [3, 5, 2, 1, 4], "numbers only grow"
    spark = make_lake().spark
    events = {f"i{i:03d}": i % 7 for i in range(200)}
    rows = frame_of(
        spark,
        [
            (row, item, [0.5], [0.5], 1, 2, 3, [n, 0, 0], n, 7, item, ["i003", "i000"] if row else [])
            for row, (item, n) in enumerate(events.items())
        ],
        "item_row LONG, item_id STRING, search_embedding ARRAY<FLOAT>, text_embedding ARRAY<FLOAT>, sid_1 INT,"
        " sid_2 INT, sid_3 INT, popularity ARRAY<INT>, train_events LONG, category LONG, content_hash STRING,"
        " neighbours ARRAY<STRING>",
    )
    nearest = nearest_rows(rows.repartition(3), len(events), 10)
    assert nearest[:2].tolist() == [[-1] * 10, [3, 0, *[-1] * 8]]
    pairs = frame_of(spark, [(0, 1, 5, 0.5), (1, 1, 4, 1.0)], "source INT, target LONG, trigger LONG, score FLOAT")
    tables = {}
    for how in ("vocabulary", "hashed"):
        pools = "examples.negatives_from=['never_taken', 'category', 'candidates']"
        settings = load_settings((), [f"examples.item_ids={how}", "examples.item_rows=16", pools]).examples
        (tmp_path / how).mkdir()
        sizes = write_search_index(
            rows.repartition(3), nearest, content_numbers(rows), pairs, settings=settings, folder=tmp_path / how
        )
        tables[how] = sizes, np.load(tmp_path / how / "item_index.npy")
        near = np.load(tmp_path / how / "neighbours.npy")
        assert near.shape == (200, 1 + settings.neighbours)
        assert near[0].tolist() == [0] * 11
        assert (near[1:, 1] == tables[how][1][3]).all()
        assert not near[:, 2:].any(), "an item without train events stands for nothing"
        of_pools = {file.name.split("-")[1] for file in (tmp_path / how).glob("pool-*.npy")}
        assert of_pools == {"category", "candidates"}, "never_taken reads nothing of its own"
    known = np.array(list(events.values())) >= 2
    sizes, index = tables["vocabulary"]
    assert sizes["items"] == 2 + known.sum()
    assert (index[~known] == 1).all()
    ids = pq.read_table(tmp_path / "vocabulary" / ITEM_IDS)["item_id"].to_pylist()
    assert {item: place + 2 for place, item in enumerate(ids)} == {
        item: row for item, row in zip(events, index.tolist(), strict=True) if row > 1
    }
    sizes, index = tables["hashed"]
    assert sizes["items"] == 18
    assert (index[~known] == 1).all()
    assert set(index[known].tolist()) == set(range(2, 18)), "sixteen rows for all"
    assert not (tmp_path / "hashed" / ITEM_IDS).exists()


def test_rows_are_counted_where_a_path_holds_what_urls_escape(run: Run, tmp_path: Path) -> None:
    run.spark.range(5).write.parquet(str(tmp_path / "a b"))
    files = run.spark.read.parquet(str(tmp_path / "a b")).inputFiles()
    assert "a%20b" in files[0]
    assert count_rows(run, files, {}) == 5
    assert count_rows(run, files, dict.fromkeys(files, 0.4)) == 2
