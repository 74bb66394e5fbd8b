"""Candidates scored after a whole night, as the ranker's own test examples were."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pandas as pd

from jobs import export_ranker, score
from lake.command import main
from tests.end_to_end.world import World
from tests.generate import cluster_of


def scored(world: World, candidates: pd.DataFrame, *assignments: str) -> tuple[pd.DataFrame, dict]:
    """The table that scoring some candidates writes, in its key's order, and the metrics."""
    path = world.folder / "candidates.parquet"
    candidates.to_parquet(path, coerce_timestamps="us")
    more = [part for assignment in assignments for part in ("--set", assignment)]
    arguments = ["--warehouse", str(world.warehouse), *world.settings(), "--candidates", str(path), *more]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(score.JOB, arguments) == 0
    closing = json.loads(out.getvalue().strip().splitlines()[-1])
    rows = world.read("candidate_scores").sort_values(["user_id", "as_of", "item_id"], ignore_index=True)
    assert set(rows.pop("run_id")) == {closing["run_id"]}
    return rows, closing["metrics"]


def test_candidates_score_as_the_test_examples_of_their_moment(world: World) -> None:
    copy = world.copy("scored")
    keys = ["user_id", "item_id", "as_of"]
    examples = world.read("ranker_examples").rename(columns={"event_time": "as_of"})[["example_id", "as_of"]]
    expected = world.read("predictions").merge(examples, on="example_id").query("split == 'test'")
    asked = pd.concat([expected[keys], expected[keys][:3], expected[keys][:1].assign(item_id="nothing")])
    expected = expected.drop_duplicates(keys).sort_values(["user_id", "as_of", "item_id"], ignore_index=True)
    rows, metrics = scored(copy, asked.sample(frac=1.0, random_state=1))
    assert len(rows) == len(expected) == metrics["score.candidates"] > 500
    assert rows[keys].equals(expected[keys])
    np.testing.assert_allclose(rows["score_click"], expected["score_click"], atol=1e-5)
    assert metrics["score.rejected.unknown_item"] == 1
    assert metrics["score.duplicates_folded"] == len(asked) - 1 - len(expected)
    ordered = rows.sort_values(["user_id", "as_of", "score_click", "item_id"], ascending=[True, True, False, True])
    assert (ordered["rank"] == ordered.groupby(["user_id", "as_of"]).cumcount() + 1).all()
    again, _ = scored(copy, asked, "score.candidates_per_task=200")
    pd.testing.assert_frame_equal(rows, again, check_exact=True)


def test_without_a_moment_all_of_the_log_counts_and_parts_change_no_rank(world: World) -> None:
    copy = world.copy("scored_now")
    log, items = world.read("interactions"), world.read("items")["item_id"]
    users = [*log["user_id"].unique()[:3], "stranger"]
    asked = pd.DataFrame([(user, item) for user in users for item in items], columns=["user_id", "item_id"])
    rows, metrics = scored(copy, asked)
    assert metrics["score.users"] == 4
    assert metrics["score.users_without_history"] == 1
    assert set(rows["as_of"]) == {log["event_time"].max() + pd.Timedelta(microseconds=1)}
    assert rows.groupby("user_id")["rank"].agg(["min", "max"]).eq([1, len(items)]).all(axis=None)
    best = rows[rows["rank"] <= 20]
    known = best[best["user_id"] != "stranger"]
    own = log.groupby("user_id")["item_id"].agg(lambda taken: taken.map(cluster_of).value_counts().index[:2].tolist())
    assert np.mean([cluster_of(i) in own[u] for u, i in zip(known["user_id"], known["item_id"], strict=True)]) > 0.6
    parts, _ = scored(copy, asked, "score.max_user_candidates=50")
    np.testing.assert_allclose(parts["score_click"], rows["score_click"], atol=1e-5)
    assert (parts["rank"] != rows["rank"]).mean() < 0.05, "but for scores that are equal to 1e-5"


def test_the_ranker_of_a_night_is_exported_and_lies_beside_its_table_of_items(world: World) -> None:
    out = world.folder / "exported"
    assert main(export_ranker.COMMAND, ["--warehouse", str(world.warehouse), *world.settings(), "--out", str(out)]) == 0
    spec = json.loads((out / "ranker.json").read_text())
    rankers = world.warehouse / "_artifacts" / "ranker"
    assert spec["ranker"] == (rankers / "CURRENT").read_text().strip()
    examples = world.read("ranker_examples").iloc[0]
    shapes = {one["name"]: one["shape"] for one in spec["inputs"]}
    for name in ("recent_item", "found_item", "neighbour_item"):
        assert shapes[name][1] == len(examples[name])
    recipe = json.loads((rankers / spec["ranker"] / "MANIFEST.json").read_text())["card"]["recipe"]
    index = world.warehouse / "_artifacts" / "search_index" / recipe["search_index"] / "item_index.npy"
    table = np.load(rankers / spec["ranker"] / "qarm.items.npy", mmap_mode="r")
    assert len(table) == len(np.load(index)) > 0
