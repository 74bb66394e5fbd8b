"""What becomes of contents that share a semantic ID."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jobs.codes.collisions import resolved
from jobs.page.codes import changes_by_night, moved_contents
from lake.frames import frame_of
from lake.lake import Lake
from models.quantize.codebook import Codebook
from schemas.settings import load_settings
from tests.generate import clustered
from tests.jobs.nights import CONTENTS, Night, code_columns
from udfs.codes import CODES_SCHEMA, assign


@pytest.mark.parametrize("collisions", ["suffix", "next_best"])
def test_a_night_moves_no_unchanged_item(night: Night, collisions: str) -> None:
    generator = np.random.default_rng(3)
    spare = iter(clustered(200, seed=8))
    before = night.sids()
    changed = [f"i{i:03d}" for i in generator.choice(CONTENTS, 3, replace=False)]
    for item in changed:
        night.put(item, next(spare), f"another text of {item}")
    new = [f"n{i}" for i in range(3)]
    for item in new:
        night.put(item, next(spare))
    night.write()
    night.run(f"codebook.collisions={collisions}", fit=False)
    after = night.sids()
    unchanged = before.index.difference(changed)
    for column in ("sid", "codebook_version", "assigned_at", "reconstruction_error"):
        assert (after.loc[unchanged, column] == before.loc[unchanged, column]).all(), column
    assert set(after.index) == set(before.index) | set(new)
    told = night.told()
    moved = before.index[after.loc[before.index, "sid"] != before["sid"]]
    assert set(moved) <= set(changed)
    assert set(told.index) == {*moved, *new}
    assert (told.loc[new, "reason"] == "new item").all()
    assert (told.loc[moved, "reason"] == "changed text").all()
    assert (told.loc[moved, "old_sid"] == before.loc[moved, "sid"]).all()
    assert (told["new_sid"] == after.loc[told.index, "sid"]).all()
    items = [(item, "its title", f"content of {item}") for item in after.index]
    titles = frame_of(night.lake.spark, items, "item_id STRING, title STRING, content_hash STRING")
    shown, number = moved_contents(night.lake.warehouse.read("sid_changes"), titles)
    assert {row["item_id"] for row in shown} == set(moved), "the report names every one that moved"
    assert number == len(moved)
    counted = changes_by_night(night.lake.warehouse.read("sid_changes"))[0]
    assert (counted["new_item"], counted["changed_text"], counted["new_codebook"]) == (3, len(moved), 0)
    assert len(night.lake.artifacts.versions("codebook")) == 1


def test_suffix_tells_contents_apart_and_only_where_needed(first_night: Night, new: Night) -> None:
    new.put("twin", new.vectors["i000"][1], new.vectors["i000"][0])
    new.write()
    metrics = new.run("codebook.collisions=suffix")
    plain, suffixed = first_night.sids(), new.sids()
    assert first_night.metrics["codes.collision_rate/distinct_contents"] > 0.2
    assert metrics["codes.collision_rate/distinct_contents"] == 0
    assert metrics["codes.collision_rate/items"] == pytest.approx(2 / (CONTENTS + 1))
    assert metrics["codes.identical_contents/items"] == 2
    assert suffixed.loc["twin", "sid"] == suffixed.loc["i000", "sid"]
    levels = ["sid_1", "sid_2", "sid_3"]
    pd.testing.assert_frame_equal(plain[levels], suffixed.drop("twin")[levels])
    for _, bucket in suffixed.drop("twin").groupby(levels):
        suffixes = sorted((list(more) for more in bucket["sid_more"]), key=len)
        assert suffixes[0] == []
        assert sorted(s[0] for s in suffixes[1:]) == list(range(1, len(bucket)))


def test_next_best_fills_no_sid_beyond_its_cap(new: Night) -> None:
    sizes = ["codebook.fsq.levels=[4, 4, 4]"]
    new.run(*sizes, "codebook.collisions=next_best", "codebook.contents_per_sid=2")
    table = new.sids()
    assert table.groupby("sid").size().max() == 2
    book = Codebook.load(new.lake.artifacts.fetch(new.codebook))
    vectors = np.stack([new.vectors[item][1] for item in table.index])
    own = book.assign(vectors)
    final = np.array(code_columns(table))
    assert np.array_equal(own[:, :2], final[:, :2]), "only the last level moves"
    moved = own[:, 2] != final[:, 2]
    assert moved.any()
    errors = ((vectors - book.reconstruct(final)) ** 2).sum(1) / (vectors**2).sum(1)
    np.testing.assert_allclose(table["reconstruction_error"], errors, rtol=1e-4)
    # Those that stayed are the nearest of their SID.
    distance = ((vectors - book.reconstruct(own)) ** 2).sum(1)
    for row in np.flatnonzero(moved):
        stayed = np.flatnonzero((own == own[row]).all(1) & ~moved)
        assert len(stayed) == 2
        assert distance[stayed].max() <= distance[row] + 1e-6
    before = table
    new.put("late", vectors[0])
    new.write()
    new.run(*sizes, "codebook.collisions=next_best", "codebook.contents_per_sid=2", fit=False)
    after = new.sids()
    assert (after.loc[before.index, "sid"] == before["sid"]).all()
    assert after.groupby("sid").size().max() == 2


def test_partitions_do_not_choose_who_moves(first_night: Night) -> None:
    settings = load_settings((), ["codebook.collisions=next_best", "codebook.contents_per_sid=2"]).codebook
    shipped = first_night.lake.artifacts.ship(first_night.codebook)
    embeddings = first_night.lake.warehouse.read("item_embeddings").select("content_hash", "embedding")
    tables = []
    for partitions in (1, 5):
        rows = embeddings.repartition(partitions)
        assigned = rows.mapInArrow(assign(shipped), CODES_SCHEMA)
        given = resolved(assigned, None, rows, codebook=shipped, levels=3, settings=settings)
        tables.append(given.toPandas().sort_values("content_hash", ignore_index=True))
    first, second = (table.assign(codes=table["codes"].map(list)) for table in tables)
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    kept = first_night.sids()[["sid_1", "sid_2", "sid_3"]].to_numpy().tolist()
    assert sorted(first["codes"]) != sorted(kept), "some did move"


def test_equal_contents(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    few = Night(make_lake(), tmp_path / "encoder")
    vectors = np.repeat(clustered(1), 50, axis=0)
    for i, vector in enumerate(vectors):
        few.put(f"i{i}", vector)
    few.write()
    few.run("codebook.kmeans.sizes=[]", "codebook.fsq.levels=[]", "codebook.collisions=suffix")
    assert few.sids()["sid"].nunique() == len(vectors)
