"""The night with its warehouse and inputs on S3, and readers of it outside Spark."""

from __future__ import annotations

import json
from pathlib import Path

import deltalake
import pytest

from models.feed.feed import Feed
from schemas.features import FEATURES
from tests import generate
from tests.clusters.nights import JOBS, Small
from tests.clusters.object_store import BUCKET, ObjectStore
from tests.quick_spark import JVM


@pytest.fixture(scope="module")
def night(s3: ObjectStore, small_night: Small, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a night on the server wrote to stderr."""
    log, items = (s3.put(file, Path(file).name) for file in (small_night.interactions, small_night.items))
    options = ["--master", "local[2]", "--conf", f"spark.driver.extraJavaOptions={JVM}", *s3.options]
    done = small_night.run(
        f"s3a://{BUCKET}/lake/warehouse", inputs=(log, items), options=options, environment=s3.environment,
        cwd=tmp_path_factory.mktemp("caller"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.fixture
def published(night: str, s3: ObjectStore) -> dict[str, dict]:
    """The tables of the published night, as a program without Spark finds them."""
    return json.loads(s3.read("lake/warehouse/published.json"))["tables"]


def table_of(published: dict[str, dict], name: str, s3: ObjectStore) -> deltalake.DeltaTable:
    told = published[name]
    options = {**s3.environment, "AWS_ALLOW_HTTP": "true"}
    return deltalake.DeltaTable(told["path"], version=told["version"], storage_options=options)


@pytest.mark.cluster
@pytest.mark.timeout(2400)
def test_the_night_is_whole(night: str, s3: ObjectStore) -> None:
    outcome = json.loads(s3.read("lake/warehouse/outcome.json"))
    assert [job["status"] for job in outcome["jobs"]] == ["done"] * JOBS
    assert "<html" in s3.read("lake/warehouse/report.html")
    assert "are copied to this machine" not in night, "Petastorm reads S3 itself"


@pytest.mark.cluster
def test_nothing_is_written_above_the_warehouse(night: str, s3: ObjectStore) -> None:
    writes = [line for line in s3.requests() if '"PUT ' in line or '"POST ' in line or '"DELETE ' in line]
    below = [f" /{BUCKET}/lake/warehouse", f" /{BUCKET}/input/", f" /{BUCKET}?", f" /{BUCKET} "]
    assert [line for line in writes if not any(place in line for place in below)] == []


@pytest.mark.cluster
def test_delta_rs_reads_what_is_published(published: dict[str, dict], s3: ObjectStore) -> None:
    codes = table_of(published, "semantic_ids", s3).to_pandas()
    assert set(codes["item_id"]) == set(generate.catalogue()["sku"])
    examples, predictions = (
        set(table_of(published, name, s3).to_pandas()["example_id"]) for name in ("ranker_examples", "predictions")
    )
    assert predictions <= examples
    assert predictions


@pytest.mark.cluster
def test_petastorm_reads_what_is_published(
    published: dict[str, dict], s3: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    table = table_of(published, "ranker_examples", s3)
    column = FEATURES[0].name
    feed = Feed(table.file_uris(), [column], batch_size=64, shuffle_rows=256, seed=0)
    rows = sum(len(batch[column]) for batch in feed.epoch(0))
    assert rows == feed.rows == len(table.to_pandas())
