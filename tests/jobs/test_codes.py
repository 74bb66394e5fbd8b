"""The jobs that fit codebooks and assign semantic IDs, over embeddings that are made here."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from qarm.jobs import assign_semantic_ids, fit_codebook
from qarm.jobs.codes.page import changes_by_night, moved_items
from qarm.lake.artifacts import Artifact
from qarm.lake.job import Lake, new_run_id, run_job
from qarm.models.quantize.codebook import Codebook
from qarm.schemas.errors import ContractError, QarmError, UserError
from qarm.schemas.settings import Settings, load_settings
from qarm.schemas.tables import ITEM_EMBEDDINGS
from tests.generate import clustered

SMALL = [
    "codebook.kmeans_sizes=[6, 4]",
    "codebook.fsq_levels=[2, 2, 2]",
    "codebook.fsq_hidden=16",
    "codebook.fsq_steps=100",
    "codebook.neighbours=3",
    "codebook.refit_after=20",
]
CONTENTS = 240


class Night:
    """A warehouse whose embeddings are set by hand, and the two jobs over it."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        self.lake = lake
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "nothing").write_text("")
        self.encoder = lake.artifacts.publish("encoder", folder, {"recipe": {}})
        self.vectors: dict[str, tuple[str, np.ndarray]] = {}
        self.metrics: dict[str, float] = {}

    def put(self, item: str, vector: np.ndarray, content: str | None = None) -> None:
        self.vectors[item] = (content or f"content {item}", vector)

    def write(self, partitions: int = 3) -> None:
        rows = [
            (item, vector.tolist(), vector[:4].tolist(), content, self.encoder.version)
            for item, (content, vector) in self.vectors.items()
        ]
        schema = ", ".join(f"{column.name} {column.type}" for column in ITEM_EMBEDDINGS.columns)
        frame = self.lake.spark.createDataFrame(rows, schema).repartition(partitions)
        self.lake.warehouse.overwrite(ITEM_EMBEDDINGS, frame)

    def run(self, *assignments: str, fit: bool = True) -> dict[str, float]:
        lake = Lake(self.lake.spark, load_settings((), [*SMALL, *assignments]), self.lake.location)
        jobs = (fit_codebook.JOB, assign_semantic_ids.JOB) if fit else (assign_semantic_ids.JOB,)
        metrics: dict[str, float] = {}
        for job in jobs:
            metrics |= run_job(lake, job, new_run_id()).metrics
        return metrics

    def sids(self) -> pd.DataFrame:
        return self.lake.warehouse.read("semantic_ids").toPandas().set_index("item_id").sort_index()

    def changes(self) -> pd.DataFrame:
        return self.lake.warehouse.read("sid_changes").toPandas()

    def told(self) -> pd.DataFrame:
        """What is recorded of the newest version."""
        changes = self.changes()
        return changes[changes["table_version"] == self.lake.warehouse.version("semantic_ids")].set_index("item_id")

    @property
    def codebook(self) -> Artifact:
        return self.lake.artifacts.require("codebook", "fit_codebook")


def unpublished(make_lake: Callable[..., Lake], folder: Path) -> Night:
    made = Night(make_lake(location=str(folder / "warehouse")), folder / "encoder")
    for i, vector in enumerate(clustered(CONTENTS)):
        made.put(f"i{i:03d}", vector)
    made.write()
    return made


@pytest.fixture(scope="module")
def first_night(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """One night at the defaults, for others to go on from."""

    def make(location: str) -> Lake:
        return Lake(spark, load_settings(), location)

    made = unpublished(make, tmp_path_factory.mktemp("first"))
    made.metrics = made.run()
    return made


@pytest.fixture
def night(first_night: Night, make_lake: Callable[..., Lake], tmp_path: Path) -> Night:
    shutil.copytree(Path(first_night.lake.location), tmp_path / "copy")
    other = copy.copy(first_night)
    other.lake = make_lake(location=str(tmp_path / "copy"))
    other.vectors = dict(first_night.vectors)
    return other


@pytest.fixture
def new(make_lake: Callable[..., Lake], tmp_path: Path) -> Night:
    return unpublished(make_lake, tmp_path)


def code_columns(table: pd.DataFrame) -> list[list[int]]:
    return [[a, b, c, *more] for a, b, c, more in table[["sid_1", "sid_2", "sid_3", "sid_more"]].to_numpy()]


@pytest.mark.parametrize(("collisions", "nights"), [("suffix", 2), ("next_best", 1)])
def test_nights_move_no_unchanged_item(night: Night, collisions: str, nights: int) -> None:
    generator = np.random.default_rng(3)
    spare = iter(clustered(200, seed=8))
    for number in range(nights):
        before = night.sids()
        changed = [f"i{i:03d}" for i in generator.choice(CONTENTS, 3, replace=False)]
        for item in changed:
            night.put(item, next(spare), f"{item} as of night {number}")
        new = [f"n{number}{i}" for i in range(3)]
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
        texts = night.lake.spark.createDataFrame(
            [(item, "its text") for item in after.index], "item_id STRING, text STRING"
        )
        shown = moved_items(night.lake.warehouse.read("sid_changes"), texts)
        assert {row["item_id"] for row in shown} == set(moved), "the report names every one that moved"
        nights = changes_by_night(night.lake.warehouse.read("sid_changes"))
        assert (nights[0]["new_item"], nights[0]["changed_text"], nights[0]["new_codebook"]) == (3, len(moved), 0)
    assert len(night.lake.artifacts.versions("codebook")) == 1


def test_codes_do_not_depend_on_partitioning(
    spark: SparkSession, make_lake: Callable[..., Lake], tmp_path: Path
) -> None:
    tables = []
    for partitions, rows, shuffles in ((1, 10_000, 4), (7, 50, 11)):
        conf = {
            "spark.sql.execution.arrow.maxRecordsPerBatch": str(rows),
            "spark.sql.shuffle.partitions": str(shuffles),
            "spark.sql.adaptive.coalescePartitions.enabled": str(rows > 50).lower(),
        }
        before = {name: spark.conf.get(name) for name in conf}
        for name, value in conf.items():
            spark.conf.set(name, value)
        one = unpublished(make_lake, tmp_path / str(partitions))
        for i, vector in enumerate(clustered(CONTENTS, d=64)):
            one.put(f"i{i:03d}", vector)
        one.write(partitions)
        one.run("codebook.collisions=next_best")
        table = one.sids()[["sid", "reconstruction_error", "neighbours"]]
        tables.append(table.assign(neighbours=table["neighbours"].map(list)))
        for name, value in before.items():
            spark.conf.set(name, value or "")
    pd.testing.assert_frame_equal(*tables, check_exact=True)


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
    sizes = ["codebook.fsq_levels=[4, 4, 4]"]
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
    new.run(*sizes, "codebook.collisions=next_best", "codebook.contents_per_sid=2")
    after = new.sids()
    assert (after.loc[before.index, "sid"] == before["sid"]).all()
    assert after.groupby("sid").size().max() == 2


@pytest.mark.parametrize(
    ("assignments", "levels"),
    [
        (["codebook.method=vq", "codebook.kmeans_sizes=[12]"], 1),
        (["codebook.method=fsq", "codebook.fsq_levels=[3, 3, 3]"], 1),
        (["codebook.method=res_kmeans", "codebook.kmeans_sizes=[4, 4, 4, 4, 4]", "codebook.collisions=suffix"], 5),
        (["codebook.method=rq_vae", "codebook.kmeans_sizes=[8, 8, 8]", "codebook.rq_vae_steps=60"], 3),
    ],
)
def test_every_method_writes_the_same_table(new: Night, assignments: list[str], levels: int) -> None:
    metrics = new.run(*assignments)
    table = new.sids()
    book = Codebook.load(new.lake.artifacts.fetch(new.codebook))
    assert len(book.sizes) == levels
    own = book.assign(np.stack([new.vectors[item][1] for item in table.index]))
    for level, name in enumerate(["sid_1", "sid_2", "sid_3"]):
        assert table[name].isna().all() if level >= levels else (table[name] == own[:, level]).all()
    for place, (_, row) in enumerate(table.iterrows()):
        codes = own[place].tolist()
        assert row["sid"].split("-")[:levels] == [str(code) for code in codes]
        assert list(row["sid_more"])[: max(levels - 3, 0)] == codes[3:]
    assert f"codes.used/sid_{levels}" in metrics
    card = json.loads((new.lake.artifacts.fetch(new.codebook) / "codebook.json").read_text())
    assert {"method", "sizes", "fitted_on", "quality", "encoder"} <= set(card)
    assert card["fitted_on"] == CONTENTS


def test_refit_is_a_new_version_with_as_many_old_names_as_can_be(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    first, before = night.codebook, night.sids()
    night.run()
    assert night.codebook.version == first.version, "nothing new: nothing refitted"
    for i, vector in enumerate(clustered(60, seed=4)):
        night.put(f"n{i:02d}", vector)
    night.write()
    small = [part for setting in SMALL for part in ("--set", setting)]
    assert (
        fit_codebook.main(
            fit_codebook.JOB, ["--warehouse", night.lake.location, "--refit", *small], fit_codebook.options
        )
        == 0
    )
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"]
    night.run(fit=False)
    after = night.sids()
    assert night.codebook.version != first.version
    assert night.codebook.card["refit_of"] == first.version
    assert metrics["codebook.sids_kept"] >= metrics["codebook.sids_kept_unmatched"]
    assert metrics["codebook.sids_kept"] > 0.5
    moved = before.index[after.loc[before.index, "sid"] != before["sid"]]
    told = night.told()
    assert set(told.index[told["reason"] == "new codebook"]) == set(moved)
    assert (told.loc[moved, "old_codebook_version"] == first.version).all()
    # The older version of the table stays readable together with its codebook.
    old = night.lake.warehouse.read("semantic_ids", 1).toPandas().set_index("item_id").sort_index()
    assert old["codebook_version"].unique().tolist() == [first.version]
    at_version = f"SELECT sid FROM delta.`{night.lake.warehouse.root}/semantic_ids@v1` WHERE item_id = 'i000'"
    assert night.lake.spark.sql(at_version).collect()[0][0] == old.loc["i000", "sid"]
    book = Codebook.load(night.lake.artifacts.fetch(night.lake.artifacts.get("codebook", first.version)))
    vectors = np.stack([night.vectors[item][1] for item in old.index])
    assert np.array_equal(book.assign(vectors), np.array(code_columns(old)))


def test_another_method_and_back_again(night: Night) -> None:
    first, before = night.codebook.version, night.sids()
    night.put("i000", clustered(1, seed=5)[0], "another text")
    night.write()
    night.run("codebook.collisions=suffix")
    published = night.sids()
    other = ["codebook.method=vq", "codebook.kmeans_sizes=[12]"]
    night.run(*other)
    assert night.codebook.version != first
    assert night.sids()["sid_2"].isna().all()
    night.run("codebook.fsq_steps=100")
    assert night.codebook.version == first
    back = night.sids()
    assert (back["sid"] == published["sid"]).all(), "what it had published, suffixes included"
    assert (back.loc[before.index.drop("i000"), "sid"] == before.drop("i000")["sid"]).all()


def test_settings_that_the_method_does_not_use_fit_nothing_new() -> None:
    default, other = (load_settings((), more).codebook for more in ([], ["codebook.rq_vae_steps=7"]))
    assert default.fitting == other.fitting
    assert load_settings((), ["codebook.fsq_steps=7"]).codebook.fitting != default.fitting


def test_a_refit_is_due_where_new_contents_do_not_fit(night: Night) -> None:
    assert night.metrics["codes.new_contents"] == 0
    first = night.codebook.version
    strange = np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)
    for i, vector in enumerate(strange / np.linalg.norm(strange, axis=1, keepdims=True)):
        night.put(f"s{i:02d}", vector)
    night.write()
    metrics = night.run("codebook.refit_after=41", fit=False)
    assert metrics["codes.new_contents"] == 40
    assert metrics["codes.new_error"] > 1.25 * metrics["codes.baseline_error"]
    assert metrics[f"codes.refit_due/{first}"] == 0, "too few new contents to say"
    assert night.run(fit=False)[f"codes.refit_due/{first}"] == 1
    night.run()
    assert night.codebook.version == first, "never refitted unasked"
    night.run("codebook.refit=when_due")
    second = night.codebook.version
    assert second != first
    metrics = night.run("codebook.refit=when_due")
    assert night.codebook.version == second, "no longer due"
    assert metrics["codes.new_contents"] == 0


def test_changes_lost_by_a_failed_run_are_recorded_by_the_next(night: Night) -> None:
    night.lake.spark.sql(f"DELETE FROM {night.lake.warehouse.identifier('sid_changes')}")
    night.put("i000", clustered(1, seed=5)[0], "another text")
    night.write()
    night.run()
    assert (night.changes()["reason"] == "new item").sum() == CONTENTS


def test_neighbours_by_an_index_are_nearly_the_exact_ones(night: Night) -> None:
    exact = night.sids()["neighbours"]
    metrics = night.run("codebook.neighbours_exact=100", "codebook.neighbours_index=hnsw", fit=False)
    found = night.sids()["neighbours"]
    assert metrics["codes.neighbours_recall"] > 0.9
    assert np.mean([len(set(a) & set(b)) / 3 for a, b in zip(exact, found, strict=True)]) > 0.9
    assert night.run("codebook.neighbours_limit=100", fit=False)["codes.without_neighbours"] == CONTENTS


def test_hostile_embeddings_and_settings(night: Night) -> None:
    night.put("odd", np.full(8, 8**-0.5, np.float32))
    night.write()
    with pytest.raises(PythonException, match="takes embeddings of 16 dimensions"):
        night.run(fit=False)
    with pytest.raises(Py4JJavaError, match="differ in length"):
        night.run("codebook.refit=now")
    del night.vectors["odd"]
    for item, (content, vector) in list(night.vectors.items()):
        night.put(item, np.concatenate([vector, vector])[:32] / np.sqrt(2), content + " wider")
    night.write()
    with pytest.raises(PythonException, match="16 dimensions, not shape"):
        night.run(fit=False)
    night.put("i000", np.full(16, np.nan, np.float32), "not a number")
    with pytest.raises(ContractError, match="unit_norm"):
        night.write()
    with pytest.raises(UserError, match="next_best moves the last of several codes"):
        load_settings((), ["codebook.method=vq", "codebook.collisions=next_best"])
    with pytest.raises(UserError, match="vq has one level"):
        load_settings((), ["codebook.method=vq", "codebook.kmeans_sizes=[4, 4]"])


def test_a_truncated_codebook_is_named(night: Night) -> None:
    file = night.lake.artifacts.fetch(night.codebook) / "codebook.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(QarmError, match=r"codebook\.safetensors is damaged"):
        night.run(fit=False)


def test_equal_contents(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    few = Night(make_lake(), tmp_path / "encoder")
    vectors = np.repeat(clustered(1), 50, axis=0)
    for i, vector in enumerate(vectors):
        few.put(f"i{i}", vector)
    few.write()
    few.run("codebook.kmeans_sizes=[]", "codebook.fsq_levels=[]", "codebook.collisions=suffix")
    assert few.sids()["sid"].nunique() == len(vectors)


def test_default_settings_name_no_sizes(settings: Settings) -> None:
    assert settings.codebook.kmeans_sizes == []
    assert settings.codebook.fsq_levels == []
    assert "refit" not in settings.codebook.fitting
