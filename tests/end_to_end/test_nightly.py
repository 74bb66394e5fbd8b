"""The whole nightly on a small log with planted clusters, with the real language model."""

from __future__ import annotations

import json
import re

import deltalake
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from jobs import build_examples, mine_pairs, nightly, sql
from lake.command import main
from lake.execution import run_job
from lake.lake import Lake
from models.ranker.training.metrics import auc, auc_per_group
from schemas.settings import load_settings
from tests import generate
from tests.end_to_end.world import World
from tests.generate import cluster_of
from tests.jobs.page.pages import Reader


def test_every_table_is_there_and_opens_without_spark(world: World) -> None:
    for table in (
        "interactions",
        "items",
        "item_pairs",
        "item_embeddings",
        "semantic_ids",
        "ranker_examples",
        "predictions",
    ):
        assert len(world.read(table)) > 0, table
    runs = world.read("runs")
    assert set(runs["job"]) == {job.name for job in nightly.nightly_jobs(load_settings())}
    assert set(runs["status"]) == {"done"}
    assert runs["run_id"].nunique() == 1


def test_pairs_recover_the_planted_clusters(world: World) -> None:
    pairs = world.read("item_pairs")
    best = pairs.sort_values("score", ascending=False).groupby("trigger_item_id").head(5)
    same = best["trigger_item_id"].map(cluster_of) == best["target_item_id"].map(cluster_of)
    assert same.mean() > 0.7, "chance is one in six"
    assert set(pairs["verdict"].dropna()) == {"keep", "reject"}
    assert len(world.read("pair_verdicts")) <= 40 <= pairs["verdict"].notna().sum(), "one content, several pairs"
    judged = pairs[pairs["verdict"].notna()].groupby("source")["verdict"]
    shares = {"item2item": 0.1, "user2item": 0.7}
    assert {name: (verdicts == "reject").sum() for name, verdicts in judged} == {
        name: int(shares[name] * len(verdicts)) for name, verdicts in judged
    }
    assert len(judged) == 2


def test_codes_recover_the_planted_clusters(world: World) -> None:
    codes = world.read("semantic_ids")
    clusters = codes["item_id"].map(cluster_of)
    purity = clusters.groupby(codes["sid_1"]).agg(lambda c: c.value_counts().iloc[0]).sum() / len(codes)
    generator = np.random.default_rng(0)
    by_chance = [
        pd.Series(generator.permutation(clusters)).groupby(codes["sid_1"]).agg(lambda c: c.value_counts().iloc[0]).sum()
        / len(codes)
        for _ in range(20)
    ]
    assert purity > 0.6 > max(by_chance) + 0.2
    neighbours = codes.set_index("item_id")["neighbours"].explode()
    assert (neighbours.index.map(cluster_of) == neighbours.map(cluster_of)).mean() > 0.6


def test_codes_and_numbers_are_what_the_tables_say(world: World) -> None:
    codes = world.read("semantic_ids")
    bucket = codes.groupby("sid")["item_id"].transform("size")
    assert world.metric("codes.collision_rate", "items") == pytest.approx((bucket > 1).mean())
    assert world.metric("codes.unique_rate", "items") == pytest.approx(codes["sid"].nunique() / len(codes))
    assert world.metric("codes.items_per_sid", "items") == pytest.approx(bucket.mean())


def test_the_ranker_beats_its_baselines(world: World) -> None:
    auc = world.metric("click.auc", "test")
    assert auc > world.metric("click.auc.popularity", "test") + 0.03
    assert auc > 0.65
    assert world.metric("click.auc.recent_din", "test") > 0.5


def test_reported_metrics_equal_those_of_the_predictions(world: World) -> None:
    rows = world.read("predictions")
    rows = rows[rows["split"] == "test"]
    labels, scores = rows["label_click"].to_numpy(), rows["score_click"].to_numpy()
    assert world.metric("click.auc", "test") == pytest.approx(auc(labels, scores), abs=1e-6)
    users = auc_per_group(rows["user_id"].astype("category").cat.codes.to_numpy().astype(np.int64), labels, scores)
    there = ~np.isnan(users.auc)
    assert world.metric("click.uauc", "test") == pytest.approx(users.auc[there].mean(), abs=1e-6)
    gauc = np.average(users.auc[there], weights=users.count[there])
    assert world.metric("click.gauc", "test") == pytest.approx(gauc, abs=1e-6)
    assert world.metric("click.users_left_out", "test") == (~there).sum()


def test_histories_hold_only_the_past_and_splits_follow_time(world: World) -> None:
    examples, log = world.read("ranker_examples"), world.read("interactions")
    times = {user: np.sort(rows["event_time"].to_numpy()) for user, rows in log.groupby("user_id")}
    expected = [
        np.searchsorted(times[u], t, side="left")
        for u, t in zip(examples["user_id"], examples["event_time"].to_numpy(), strict=True)
    ]
    assert examples["history_length"].tolist() == expected
    spans = world.examples().groupby("split")["event_time"].agg(["min", "max"])
    assert spans.loc["train", "max"] < spans.loc["valid", "min"] <= spans.loc["valid", "max"] < spans.loc["test", "min"]
    assert examples["found_item"].map(len).eq(8).all()
    assert examples["found_length"].tolist() == [sum(i > 0 for i in gaps) for gaps in examples["found_gap"]]


def test_negatives_are_never_the_users_own(world: World) -> None:
    examples, log = world.read("ranker_examples"), world.read("interactions")
    own = set(zip(log["user_id"], log["item_id"], strict=True))
    pairs = list(zip(examples["user_id"], examples["item_id"], examples["label_click"], strict=True))
    assert all(((user, item) in own) == bool(label) for user, item, label in pairs)
    assert examples["label_click"].mean() == pytest.approx(0.5, abs=0.02)


def test_negatives_are_drawn_by_what_was_taken_in_each_window(world: World) -> None:
    indexes = world.warehouse / "_artifacts" / "search_index"
    folder = indexes / (indexes / "CURRENT").read_text().strip()
    drawing, begins = np.load(folder / "drawing.npy"), np.load(folder / "drawing_from.npy")
    starts = world.examples().groupby("split")["event_time"].min().dt.floor("D")
    assert pd.to_datetime(begins[-2:], unit="us", utc=True).tolist() == [starts["valid"], starts["test"]]
    assert len(begins) > 3, "the train examples have several windows"
    log = world.read("interactions")
    times = log["event_time"].astype("datetime64[us, UTC]").astype(np.int64)
    window = pd.Series(np.searchsorted(begins, times, side="right") - 1, index=log.index)
    items = pq.read_table(folder / "item_rows.parquet")["item_id"].to_pylist()
    counts = pd.crosstab(window, log["item_id"]).reindex(index=range(len(begins)), columns=items, fill_value=0)
    np.testing.assert_allclose(np.diff(drawing, axis=1, prepend=0), counts.to_numpy() ** 0.75, atol=1e-6)


def test_moving_an_event_to_the_future_changes_nothing_before_it(world: World, spark: SparkSession) -> None:
    """DESIGN's point-in-time proof, through Spark: pairs and examples before the moved event are bit-identical."""
    log = world.read("interactions").sort_values("event_time")
    test_from = world.examples().query("split == 'test'")["event_time"].min()
    moved = log[log["event_time"] > test_from + pd.Timedelta(hours=6)].iloc[0]
    when = moved["event_time"]
    later = when + pd.Timedelta(days=1)
    copy = world.copy("moved")
    old, before = world.read("ranker_examples"), world.read("item_pairs")
    spark.sql(
        f"UPDATE delta.`{copy.warehouse}/interactions` SET event_time = TIMESTAMP'{later}',"
        f" event_date = DATE'{later.date()}'"
        f" WHERE user_id = '{moved['user_id']}' AND event_time = TIMESTAMP'{when}'"
    )
    lake = Lake(spark, load_settings((), generate.SMALL), str(copy.warehouse), from_scratch=True)
    for job in (build_examples.JOB, mine_pairs.JOB):  # examples of the night's own pairs, which prove to be the same
        run_job(lake, job, "moved")
    new, after = copy.read("ranker_examples"), copy.read("item_pairs")
    example, pair = ["example_id"], ["source", "trigger_item_id", "target_item_id"]
    old, new = (rows.sort_values(example, ignore_index=True) for rows in (old, new))
    later_written = ["run_id", "verdict", "judge", "judge_score"]
    before, after = (rows.sort_values(pair, ignore_index=True).drop(columns=later_written) for rows in (before, after))
    pd.testing.assert_frame_equal(before, after, check_exact=True)
    assert len(old[old["event_time"] < when]) > 500
    assert old["mined_pairs"].map(lambda parts: max(parts.values())).max() > 0
    seen = [rows[rows["event_time"] < when].reset_index(drop=True) for rows in (old, new)]
    by_als = ("behaviour", "taste")  # ALS adds up in the order that rows come in
    of_als = [[rows.pop(name).map(lambda parts: [*parts.values()]).to_list() for name in by_als] for rows in seen]
    pd.testing.assert_frame_equal(*seen, check_exact=True)
    for one, other in zip(*of_als, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
        assert np.any(one)
    user = old["user_id"] == moved["user_id"]
    assert not old[user & (old["event_time"] >= when)]["example_id"].isin(new["example_id"]).all(), (
        "the move did happen"
    )


def test_a_second_night_skips_every_job(world: World) -> None:
    versions = {
        table: deltalake.DeltaTable(str(world.warehouse / table)).version() for table in ("items", "runs", "metrics")
    }
    night = world.night()
    assert night.closing["status"] == "skipped"
    assert night.closing["outputs"] == {}
    assert len(re.findall(r"^\w+ +skipped +0\.0  up to date$", night.log, flags=re.MULTILINE)) == len(
        nightly.nightly_jobs(load_settings())
    )
    assert versions == {table: deltalake.DeltaTable(str(world.warehouse / table)).version() for table in versions}


def test_the_report_is_one_page_that_needs_nothing_else(world: World) -> None:
    page = (world.warehouse / "report.html").read_text()
    read = Reader(page)
    data = json.loads(next(script for script in read.scripts if script.lstrip().startswith('{"')))
    assert {"map", "verdicts", "times", "code-use", "collisions", "nights-click", "category-click"} <= {*data}
    assert {"history_length-click", "item_age_days-click", "rows-interactions", "training-auc"} <= {*data}
    assert len(data["map"]["data"]["x"]) == world.read("items")["content_hash"].nunique()
    assert not [name for name, attributes in read.tags if (attributes.get("src") or "#")[0] != "#"]
    for words in (
        "The first night",
        "semantic IDs",
        "Rejected pairs",
        "popularity",
        "wine",
        "No refit is due",
        "folded as duplicates",
    ):
        assert words in page


def test_a_night_says_little_and_nothing_that_a_user_cannot_act_on(world: World) -> None:
    """Each job has a line when it starts and one in the closing table; beside them a few of what was read."""
    lines = (world.folder / "first-night.log").read_text().splitlines()
    lines = [line for line in lines if not re.search(r", \d+:\d\d(, about [\d:]+ left)?$", line)]  # one a minute
    jobs = len(nightly.nightly_jobs(load_settings()))
    assert len([line for line in lines if re.match(r"[\d:]{8} \[\d+/\d+\] \w+: ", line)]) == jobs
    assert len(lines) <= 2 * jobs + 20, "\n".join(lines)
    for noise in ("Warning", "WARN", "it/s]", "Stage ", "ivy", "%|"):
        assert noise not in "\n".join(lines), noise


def test_sql_sees_tables_and_views(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    queries = [
        "SELECT sid, count(*) AS n FROM semantic_ids GROUP BY sid ORDER BY 2 DESC LIMIT 5",
        "SELECT count(*) AS judged FROM judged_pairs WHERE verdict IS NOT NULL",
        "SELECT sum(items) AS all_items FROM sid_occupancy WHERE level = 1",
        "SELECT reason, count(*) AS moves FROM moved_sids GROUP BY reason",
        "SELECT title FROM item_codes WHERE sid IS NULL OR title = 'red wine bottle small'",
        "SELECT count(*) AS known FROM ranker_examples WHERE distinct_items.all > 0 AND similarity.best > 0",
    ]
    assert (
        main(sql.COMMAND, ["--warehouse", str(world.warehouse), *(part for query in queries for part in ("-e", query))])
        == 0
    )
    out = capsys.readouterr().out
    verdicts = world.read("item_pairs")["verdict"].notna().sum()
    assert re.search(rf"judged\|\n.*\n\|{verdicts} ", out)
    assert re.search(r"all_items\|\n.*\n\|120 ", out)
    assert re.search(r"\|new item\|120 ", out)
    assert "red wine bottle small" in out
    known = [
        a["all"] > 0 and b["best"] > 0
        for a, b in world.read("ranker_examples")[["distinct_items", "similarity"]].to_numpy()
    ]
    assert re.search(rf"known\|\n.*\n\|{sum(known)} *\|", out)
    assert main(sql.COMMAND, ["--warehouse", str(world.warehouse), "-e", "SELECT nothing FROM nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
