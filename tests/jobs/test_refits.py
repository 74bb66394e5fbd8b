"""A codebook stays as it was published until it is refitted, and what moves is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jobs import assign_semantic_ids, fit_codebook
from jobs.codes.measures import measure_drift
from lake.lake import Lake
from lake.run import Run
from models.quantize.codebook import Codebook
from schemas.settings import load_settings
from tests.generate import clustered
from tests.jobs.nights import CONTENTS, SMALL, Night, code_columns


def test_refit_is_a_new_version_with_as_many_old_names_as_can_be(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    first, before = night.codebook, night.sids()
    night.run(assign=False)
    assert night.codebook.version == first.version, "nothing new: nothing refitted"
    for i, vector in enumerate(clustered(60, seed=4)):
        night.put(f"n{i:02d}", vector)
    night.write()
    small = [part for setting in SMALL for part in ("--set", setting)]
    command = ["--warehouse", night.lake.location, "--refit", *small]
    assert fit_codebook.main(fit_codebook.JOB, command) == 0
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
    other = ["codebook.method=vq", "codebook.kmeans.sizes=[12]"]
    night.run(*other)
    assert night.codebook.version != first
    assert night.sids()["sid_2"].isna().all()
    night.run("codebook.fsq.steps=100")
    assert night.codebook.version == first
    assert (night.sids()["sid"] == before["sid"]).all(), "what it had published"


def test_a_setting_of_a_later_qarm_replaces_no_codebook(night: Night, tmp_path: Path) -> None:
    artifacts, current = night.lake.artifacts, night.codebook
    card = current.card | {"recipe": {k: v for k, v in current.card["recipe"].items() if k != "fsq_prefix_minimum"}}
    folder = tmp_path / "older"
    folder.mkdir()
    Codebook.load(artifacts.fetch(current)).save(folder)
    older = artifacts.publish("codebook", folder, card)
    before = night.sids()["sid"]
    night.run()
    assert night.codebook.version == older.version != current.version
    assert (night.sids()["sid"] == before).all()
    night.run("codebook.fsq.steps=110", assign=False)
    assert night.codebook.version not in (older.version, current.version), "of what it names, all still counts"


def test_a_refit_is_due_where_new_contents_do_not_fit(night: Night) -> None:
    assert night.metrics["codes.new_contents"] == 0
    first = night.codebook.version
    strange = np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)
    for i, vector in enumerate(strange / np.linalg.norm(strange, axis=1, keepdims=True)):
        night.put(f"s{i:02d}", vector)
    night.write()
    metrics = night.run(fit=False)
    assert metrics["codes.new_contents"] == 40
    assert metrics["codes.new_error"] > 1.25 * metrics["codes.baseline_error"]
    assert metrics[f"codes.refit_due/{first}"] == 1
    patient = Lake(night.lake.spark, load_settings((), ["codebook.refit_after=41"]), night.lake.location)
    run = Run(patient, assign_semantic_ids.JOB, "run")
    measure_drift(run, patient.warehouse.read("semantic_ids"), night.codebook)
    assert run.headline[f"codes.refit_due/{first}"] == 0, "too few new contents to say"
    night.run(assign=False)
    assert night.codebook.version == first, "never refitted unasked"
    night.run("codebook.refit=when_due", assign=False)
    second = night.codebook.version
    assert second != first
    night.run("codebook.refit=when_due", assign=False)
    assert night.codebook.version == second, "no longer due"


def test_changes_lost_by_a_failed_run_are_recorded_by_the_next(night: Night) -> None:
    night.lake.spark.sql(f"DELETE FROM {night.lake.warehouse.identifier('sid_changes')}")
    night.put("i000", clustered(1, seed=5)[0], "another text")
    night.write()
    night.run(fit=False)
    assert (night.changes()["reason"] == "new item").sum() == CONTENTS
