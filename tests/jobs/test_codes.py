"""The jobs that fit codebooks and assign semantic IDs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from jobs import assign_semantic_ids
from jobs.codes.neighbours import nearest_items
from lake.lake import Lake
from lake.run import Run
from models.quantize.codebook import Codebook
from schemas.errors import ContractError, QarmError, UserError
from schemas.settings import load_settings
from tests.jobs.nights import CONTENTS, Night


def test_codes_do_not_depend_on_partitioning(spark: SparkSession, first_night: Night, new: Night) -> None:
    conf = {
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50",
        "spark.sql.shuffle.partitions": "7",
        "spark.sql.adaptive.enabled": "true",
    }
    before = {name: spark.conf.get(name) for name in conf}
    try:
        for name, value in conf.items():
            spark.conf.set(name, value)
        new.write(partitions=5)
        new.run()
        tables = [one.sids()[["sid", "reconstruction_error", "neighbours"]] for one in (first_night, new)]
    finally:
        for name, value in before.items():
            spark.conf.set(name, value or "")
    lists = [table.assign(neighbours=table["neighbours"].map(list)) for table in tables]
    pd.testing.assert_frame_equal(*lists, check_exact=True)


@pytest.mark.parametrize(
    ("assignments", "levels"),
    [
        (["codebook.method=vq", "codebook.kmeans.sizes=[12]"], 1),
        (["codebook.method=res_kmeans", "codebook.kmeans.sizes=[4, 4, 4, 4, 4]", "codebook.collisions=suffix"], 5),
    ],
)
def test_any_number_of_levels_is_written(new: Night, assignments: list[str], levels: int) -> None:
    metrics = new.run(*assignments)
    table = new.sids()
    book = Codebook.load(new.lake.artifacts.fetch(new.codebook))
    own = book.assign(np.stack([new.vectors[item][1] for item in table.index]))
    for level, name in enumerate(["sid_1", "sid_2", "sid_3"]):
        assert table[name].isna().all() if level >= levels else (table[name] == own[:, level]).all()
    for place, (_, row) in enumerate(table.iterrows()):
        codes = own[place].tolist()
        assert row["sid"].split("-")[:levels] == [str(code) for code in codes]
        assert list(row["sid_more"])[: max(levels - 3, 0)] == codes[3:]
    assert f"codes.used/sid_{levels}" in metrics
    assert_published(new, levels)


@pytest.mark.parametrize(
    ("assignments", "levels"),
    [
        (["codebook.method=fsq", "codebook.fsq.levels=[3, 3, 3]"], 1),
        (["codebook.method=rq_vae", "codebook.kmeans.sizes=[8, 8, 8]", "codebook.rq_vae.steps=60"], 3),
    ],
)
def test_other_methods_publish_a_codebook(new: Night, assignments: list[str], levels: int) -> None:
    new.run(*assignments, assign=False)
    assert_published(new, levels)


def assert_published(night: Night, levels: int) -> None:
    folder = night.lake.artifacts.fetch(night.codebook)
    assert len(Codebook.load(folder).sizes) == levels
    card = json.loads((folder / "codebook.json").read_text())
    assert {"method", "sizes", "fitted_on", "quality", "encoder"} <= set(card)
    assert card["fitted_on"] == CONTENTS


def test_neighbours_by_an_index_are_nearly_the_exact_ones(night: Night, tmp_path: Path) -> None:
    exact = night.sids()["neighbours"]
    metrics = night.run("codebook.neighbours_exact=100", "codebook.neighbours_index=hnsw", fit=False)
    found = night.sids()["neighbours"]
    assert metrics["codes.neighbours_recall"] > 0.9
    assert np.mean([len(set(a) & set(b)) / 3 for a, b in zip(exact, found, strict=True)]) > 0.9
    few = Lake(night.lake.spark, load_settings((), ["codebook.neighbours_limit=100"]), night.lake.location)
    run = Run(few, assign_semantic_ids.JOB, "run")
    contents = night.lake.warehouse.read("item_embeddings")
    assert nearest_items(run, contents, count=CONTENTS, dimension=16, folder=tmp_path).count() == 0
    assert run.headline["codes.without_neighbours"] == CONTENTS


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
    for fit in (True, False):
        with pytest.raises(UserError, match="next_best moves the last of several codes"):
            night.run("codebook.method=vq", "codebook.kmeans.sizes=[4]", "codebook.collisions=next_best", fit=fit)
    with pytest.raises(UserError, match="vq has one level"):
        night.run("codebook.method=vq", "codebook.kmeans.sizes=[4, 4]")
    with pytest.raises(UserError, match=r"codebook\.method: there is no method toys; set one of fsq, res_kmeans"):
        night.run("codebook.method=toys")


def test_a_truncated_codebook_is_named_and_made_again_once_it_is_removed(night: Night) -> None:
    first, before = night.codebook, night.sids()["sid"]
    file = night.lake.artifacts.fetch(night.codebook) / "codebook.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(QarmError, match=r"codebook\.safetensors is damaged .* or remove the folder"):
        night.run(fit=False)
    night.lake.files.delete(first.url)
    night.run()
    assert night.codebook.version != first.version
    assert (night.sids()["sid"] == before).all()
