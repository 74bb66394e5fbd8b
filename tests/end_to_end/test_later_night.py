"""A night after the first one: it works on what is new, and ends with what a build of everything gives."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import build_examples
from jobs.examples.earlier import Earlier, earlier
from lake.execution import run_job
from lake.lake import Lake
from lake.run import Run
from schemas.settings import load_settings
from tests import generate
from tests.end_to_end.world import Night, World

CHANGED, NEW = "wine_0_0", "wine_9_9"
MADE_BY_ALS = ("behaviour", "taste")


@pytest.fixture(scope="module")
def later(world: World) -> tuple[World, Night]:
    """One more day, a late event, a new and a changed item, and the night that found them."""
    copy = world.copy("later")
    log = world.folder / "days"
    log.mkdir()
    source = next(Path(part) for part in world.inputs if part.endswith("log.parquet"))
    (log / "first.parquet").symlink_to(source)
    day = pd.DataFrame(
        [(f"u{n:03d}", f"wine_{n % 5}_{n % 4}", pd.Timestamp("2025-03-31 09:00") + pd.Timedelta(minutes=n))
         for n in range(60)],
        columns=["shopper", "sku", "at"],
    )  # fmt: skip
    late = pd.DataFrame([("u001", "baby_0_0", pd.Timestamp("2025-03-04 23:59:59"))], columns=day.columns)
    pd.concat([day, late]).to_parquet(log / "next.parquet", coerce_timestamps="us")
    items = generate.catalogue()
    items.loc[items["sku"] == CHANGED, "title"] = "lager beer six pack"
    items.loc[len(items)] = {"sku": NEW, "title": "mulled wine", "category": "wine", "maker": "maker 9"}
    items.to_csv(world.folder / "later.csv", index=False)
    path = str(world.folder / "later.csv")
    copy.inputs = [
        str(log) if part.endswith("log.parquet") else path if part.endswith("items.csv") else part
        for part in world.inputs
    ]
    # The day is made up, so the ranker is worse on it.
    wanted = ["increments.pairs.new_share=0.5", "increments.behaviour.new_share=0.5", "gate.most_lost_auc=0.2"]
    return copy, copy.night(*(part for setting in wanted for part in ("--set", setting)))


def test_the_night_says_what_it_did_and_what_stands(later: tuple[World, Night]) -> None:
    copy, night = later
    stands = r"^mine_pairs +skipped +0\.0  stands: 0\.8% of the events and 1 days are new; due at 50% or 28 days$"
    assert re.search(stands, night.log, flags=re.MULTILINE)
    assert "behaviour vectors stand" in night.log
    assert "builds all examples" not in night.log
    assert "begins anew" not in night.log
    assert night.closing["metrics"]["embed.contents"] == 2
    assert night.closing["metrics"]["ranker.new_examples"] < 0.2 * night.closing["metrics"]["ranker.train_examples"]
    assert "codebook" in night.closing["outputs"]
    assert copy.metric("click.auc", "test") > 0.65


def test_new_items_get_codes_and_no_other_code_moves(world: World, later: tuple[World, Night]) -> None:
    before = world.read("semantic_ids").set_index("item_id")
    after = later[0].read("semantic_ids").set_index("item_id")
    unchanged = before.index.drop(CHANGED)
    for column in ("sid", "codebook_version", "assigned_at"):
        assert (after.loc[unchanged, column] == before.loc[unchanged, column]).all(), column
    assert set(after.index) - set(before.index) == {NEW}
    assert after.loc[CHANGED, "assigned_at"] > before.loc[CHANGED, "assigned_at"]


def test_earlier_examples_stay_and_the_split_moves_on(world: World, later: tuple[World, Night]) -> None:
    copy, _ = later
    before, after = (w.examples().set_index("example_id").sort_index() for w in (world, copy))
    kept = after.loc[before.index]
    pd.testing.assert_frame_equal(kept.drop(columns="split"), before.drop(columns="split"), check_exact=True)
    order = {"train": 0, "valid": 1, "test": 2}
    assert (kept["split"].map(order) <= before["split"].map(order)).all()
    new = after.drop(before.index)
    positives = new[new["label_click"] == 1]
    assert len(positives) == 61
    assert (positives["event_time"] < pd.Timestamp("2025-03-05", tz="UTC")).sum() == 1, "the late event"
    assert set(new.loc[new["event_time"] > pd.Timestamp("2025-03-31", tz="UTC"), "split"]) == {"test"}
    ids = [w.read("ranker_examples").groupby("item_id")["item_index"].agg(set) for w in (world, copy)]
    for item, numbers in ids[0].items():
        assert numbers <= ids[1][item], "item numbers stay"


def test_new_examples_are_those_of_a_build_of_all(
    world: World, later: tuple[World, Night], spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = later[0].copy("all_again")
    made = copy.read("ranker_examples").set_index("example_id").sort_index()
    settings = load_settings((), [*generate.SMALL, "increments.behaviour.new_share=0.5"])
    lake = Lake(spark, settings, str(copy.warehouse))
    first = world.warehouse / "ranker_examples"
    assert first.exists()

    def everything(run: Run, made_by: dict[str, str]) -> Earlier:
        """The same night before, but as if all events were new."""
        found = earlier(run, made_by)
        assert found is not None
        return replace(found, events=run.read("interactions").withColumn("new", F.lit(True)))

    runs = lake.warehouse.read("runs").where("job = 'build_examples'").orderBy("ended_at").collect()
    monkeypatch.setattr(lake.ledger, "last_done", lambda: {"build_examples": runs[0]})
    run_job(lake, build_examples.JOB, "restarted")  # as if the later night had been killed before it was recorded
    restarted = copy.read("ranker_examples").set_index("example_id").sort_index()
    assert restarted.index.equals(made.index)
    done = spark.sql(f"DESCRIBE HISTORY delta.`{copy.warehouse}/ranker_examples`").collect()
    assert "RESTORE" in {commit["operation"] for commit in done}, "what it had added is undone"
    monkeypatch.setattr(build_examples, "earlier", everything)
    run_job(lake, build_examples.JOB, "all-again")
    again = copy.read("ranker_examples").set_index("example_id").sort_index()
    known = world.read("ranker_examples")["example_id"]
    new = made.drop(known)
    both = [rows.loc[new.index] for rows in (new, again)]
    of_als = [[rows.pop(name).map(lambda parts: [*parts.values()]).to_list() for name in MADE_BY_ALS] for rows in both]
    pd.testing.assert_frame_equal(*both, check_exact=True)
    for one, other in zip(*of_als, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
