"""The jobs that train the retriever: what they learn, kills, and the ranker's reward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from safetensors.torch import load_file

from jobs import reinforce_retriever, train_retriever
from jobs.examples.search_index import ITEM_ROWS
from jobs.retriever import prompts
from jobs.retriever.moments import coded_events, moments
from lake.execution import new_run_id, run_job
from lake.frames import frame_of
from lake.lake import Lake
from lake.run import Run
from models.retriever.histories import HistoryShape, UserHistories
from models.retriever.serving import Retriever
from models.retriever.training.training import RetrieverTraining
from models.training_loop import Batch
from schemas.names import SID_COLUMNS
from schemas.parameters import take
from schemas.settings import load_settings
from schemas.tables import INTERACTIONS, SEMANTIC_IDS
from tests.warehouses import copy_of

SMALL = [
    "retriever.recent_length=4", "retriever.older_length=4", "retriever.taken_length=4", "retriever.dim=16",
    "retriever.heads=2", "retriever.queries=2", "retriever.layers=1", "retriever.experts=4",
    "retriever.expert_width=16", "retriever.prefix_rows=64", "retriever.batch_size=32", "retriever.max_epochs=12",
    "retriever.learning_rate=0.01", "retriever.tokens=random", "retriever.checkpoint_steps=4",
    "retriever.shuffle_rows=128", "retriever.visit_minutes=60", "retriever.targets=2", "retriever.dropout=0.0",
    "retriever.copies=false", "retriever.patience=9", "retriever.validations_per_epoch=1",
]  # fmt: skip
ITEMS = 24
FOLLOWS = 5
"""After item i a user takes item i + FOLLOWS: what is learned is no repetition and no popularity."""


def events() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = []
    for user in range(40):
        item = int(generator.integers(ITEMS))
        for day in range(20):
            time = pd.Timestamp("2025-01-01", tz="UTC") + pd.Timedelta(days=day, minutes=int(generator.integers(600)))
            rows.append((f"u{user}", f"i{item:02d}", time.to_pydatetime(), "click", 1.0, time.date()))
            item = (item + FOLLOWS) % ITEMS
    return pd.DataFrame(rows)


def sids(codebook: str) -> list[tuple]:
    rows = []
    for item in range(ITEMS):
        codes = (item % 3, item // 3 % 4, item // 12)
        row = (f"i{item:02d}", *codes, "-".join(map(str, codes)), None, 0.1, "encoder-1", codebook)
        rows.append((*row, pd.Timestamp("2025-01-01").to_pydatetime(), None, f"c{item}"))
    return rows


@pytest.fixture(scope="module")
def untrained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("untrained")
    lake = Lake(spark, load_settings(), str(folder / "warehouse"))
    (folder / "book").mkdir()
    (folder / "book" / "nothing").write_text("")
    book = lake.artifacts.publish("codebook", folder / "book", {"recipe": {}, "sizes": [3, 4, 2]})
    lake.warehouse.overwrite(SEMANTIC_IDS, frame_of(spark, sids(book.version), SEMANTIC_IDS.schema))
    lake.warehouse.overwrite(INTERACTIONS, frame_of(spark, list(events().itertuples(False)), INTERACTIONS.schema))
    return lake


def run(lake: Lake, *assignments: str) -> dict[str, float]:
    settings = load_settings((), [*SMALL, *assignments])
    return dict(run_job(Lake(lake.spark, settings, lake.location), train_retriever.JOB, new_run_id()).metrics)


@pytest.fixture(scope="module")
def trained(untrained: Lake, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, float]]:
    lake = copy_of(untrained, tmp_path_factory.mktemp("trained") / "warehouse")
    return lake, run(lake)


def folder_of(lake: Lake) -> Path:
    return lake.artifacts.fetch(lake.artifacts.require("retriever", "train_retriever"))


def test_it_learns_what_follows_and_writes_it(trained: tuple[Lake, dict[str, float]]) -> None:
    lake, metrics = trained
    assert metrics["retriever.hit_rate_10/valid"] > metrics["retriever.popular_hit_rate_10/valid"] + 0.2
    assert metrics["retriever.resumed_at"] == 0
    retriever = Retriever.load(folder_of(lake))
    assert retriever.actions == ["click"]
    ids = retriever.catalogue.item_id.to_pylist()
    number = np.array([ids.index(f"i{item:02d}") for item in range(ITEMS)], np.int32)
    user, back = np.divmod(np.arange(4 * ITEMS), 4)
    now = np.full(ITEMS, 20 * 86_400)
    of = UserHistories.of(user, number[(user - back * FOLLOWS) % ITEMS], now[user] - (back + 1) * 86_400, now=now)
    made = retriever.generate(of, beam=3)
    wanted = retriever.catalogue.item_code[number[(np.arange(ITEMS) + FOLLOWS) % ITEMS]]
    assert (made.codes == wanted[:, None]).any(1).mean() > 0.8  # by chance an eighth


def test_a_killed_training_goes_on(
    untrained: Lake, trained: tuple[Lake, dict[str, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = copy_of(untrained, tmp_path / "copy")
    step = RetrieverTraining.train

    def killed(self: RetrieverTraining, batch: Batch | None) -> float:
        if self.step == 10:
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(RetrieverTraining, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            run(lake)
    assert run(lake)["retriever.resumed_at"] == 8
    weights = [load_file(folder_of(of) / "retriever.safetensors") for of in (lake, trained[0])]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_an_event_of_the_future_changes_no_row(make_lake: Callable[..., Lake], untrained: Lake) -> None:
    """Point in time: rows of visits before an event do not know it."""
    settings = load_settings((), SMALL).retriever
    log = untrained.warehouse.read("interactions")
    items = untrained.warehouse.read("semantic_ids").select(
        "item_id", (F.col("sid_1") * 8 + F.col("sid_2")).alias("code")
    )
    moved = log.withColumn("item_id", F.when(F.col("event_date") >= "2025-01-15", "i00").otherwise(F.col("item_id")))
    day = [pd.Timestamp(f"2025-01-{at}").date() for at in ("01", "20")]
    rows = [
        moments(
            coded_events(of, items, ["click"]), *day, most=10**6, shape=take(HistoryShape, settings), settings=settings
        ).toPandas()
        for of in (log, moved)
    ]
    before = [of[of["time"] < pd.Timestamp("2025-01-15").timestamp()].sort_values("key") for of in rows]
    assert len(before[0]) == 40 * 13
    for name in before[0]:
        assert all(np.array_equal(*pair) for pair in zip(before[0][name], before[1][name], strict=True)), name


REINFORCED = [
    "retriever.reinforce.prompts=24", "retriever.reinforce.valid_prompts=24", "retriever.reinforce.rounds=1",
    "retriever.reinforce.group=8", "retriever.reinforce.share=0.25", "retriever.reinforce.learning_rate=0.005",
    "retriever.reinforce.most_lost_hit_rate=1.0",
]  # fmt: skip


def reinforced(lake: Lake, monkeypatch: pytest.MonkeyPatch, worth: Callable[[np.ndarray], np.ndarray]) -> tuple:
    """Runs the job with a reward in place of the ranker's; its metrics, and the users of the prompts."""
    asked: list[np.ndarray] = []

    def reward(_: Run, of: prompts.Prompts, items: np.ndarray, item_id: np.ndarray, **__: object) -> np.ndarray:
        asked.append(of.user_id)
        assert (of.histories.time < np.repeat(of.histories.now, np.diff(of.histories.offsets))).all()
        number = np.array([int(name[1:]) for name in item_id])
        return np.where(items >= 0, worth(number[items]), np.nan).astype(np.float32)

    book = lake.artifacts.require("codebook", "fit_codebook")
    monkeypatch.setattr(reinforce_retriever, "use_rankers", lambda _: book)
    monkeypatch.setattr(reinforce_retriever, "index_of", lambda *_: book)
    monkeypatch.setattr(reinforce_retriever, "rewards", reward)
    settings = load_settings((), [*SMALL, *REINFORCED])
    record = run_job(Lake(lake.spark, settings, lake.location), reinforce_retriever.JOB, new_run_id())
    return dict(record.metrics), {user for users in asked for user in users}


def test_what_is_rewarded_is_written_more(
    trained: tuple[Lake, dict[str, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = copy_of(trained[0], tmp_path / "copy")
    before = lake.artifacts.require("retriever", "train_retriever")
    metrics, users = reinforced(lake, monkeypatch, lambda number: 0.1 + 0.8 * (number < ITEMS // 4))
    assert len(users) > 20, "prompts are of many users"
    rewards = [metrics[f"retriever.reinforced_reward/round {number}"] for number in (0, 1)]
    assert rewards[1] > rewards[0]
    after = lake.artifacts.require("retriever", "train_retriever")
    assert after.card["reinforced"] == before.version
    assert after.files.keys() == before.files.keys()
    assert Retriever.load(lake.artifacts.fetch(after)).actions == ["click"]


def test_a_reward_that_prefers_nothing_changes_nothing(
    trained: tuple[Lake, dict[str, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = copy_of(trained[0], tmp_path / "copy")
    before = lake.artifacts.require("retriever", "train_retriever")
    metrics, _ = reinforced(lake, monkeypatch, lambda number: np.full(number.shape, 0.5))
    assert metrics["retriever.reinforced_informative/round 1"] == 0
    assert lake.artifacts.require("retriever", "train_retriever").version == before.version


def test_rewards_are_the_rankers_by_visit_and_item(
    untrained: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items that the ranker does not know have none; an item that is asked twice has its reward twice."""
    (tmp_path / "index").mkdir()
    rows = {"item_id": ["i00", "i01"], "item_row": [0, 1], **{name: [1, None] for name in SID_COLUMNS}}
    pd.DataFrame(rows).astype(dict.fromkeys(SID_COLUMNS, "Int32")).to_parquet(tmp_path / "index" / ITEM_ROWS)
    index = untrained.artifacts.publish("search_index", tmp_path / "index", {"recipe": {}})

    def scored(_: Run, known: object, *__: object, **___: object) -> object:
        hour = F.hour("as_of") / F.lit(100.0)
        assert {row[0] for row in known.select(SID_COLUMNS[0]).collect()} == {0, 2}, "0 is none"
        return known.select("user_id", "item_id", "as_of", (F.col("item_row") + hour).alias("score_click"))

    monkeypatch.setattr(prompts, "scored", scored)
    noon, three = (int(pd.Timestamp(f"2025-01-05 {at}:00", tz="UTC").timestamp()) for at in (12, 15))
    nothing = np.zeros(0, np.int64)
    asked = prompts.Prompts(
        np.array(["u1", "u2"]), UserHistories.of(nothing, nothing, nothing, now=np.array([noon, three]))
    )
    run = Run(untrained, reinforce_retriever.JOB, new_run_id())
    items = np.array([[0, 1, 2, -1], [1, 1, -1, -1]], np.int32)
    found = prompts.rewards(run, asked, items, np.array(["i00", "i01", "i02"]), made=(index, index))
    wanted = [[0.12, 1.12, np.nan, np.nan], [1.15, 1.15, np.nan, np.nan]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
