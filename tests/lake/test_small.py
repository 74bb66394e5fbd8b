"""Ledger, periods, row numbers, session and the spark-submit command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lake import session
from lake.declaration import Job
from lake.execution import run_job
from lake.frames import frame_of
from lake.indexing import with_row_number
from lake.lake import Lake
from lake.ledger import RunRecord
from lake.periods import split_periods
from lake.run import Run
from lake.session import spark_conf
from lake.staleness import State, stale_reason, state_of
from lake.submit import entry_of, jobs, pack, spark_options, split_options
from schemas.errors import QarmError, UserError
from schemas.settings import load_settings
from schemas.tables import METRICS

NOW = datetime(2025, 1, 1, tzinfo=UTC)
LAST = RunRecord(
    "r", "judge", "done", NOW, NOW, {"pairs": "3", "items": "1"}, {"pairs": "4"}, settings_hash="hash", code_version="0"
)


@pytest.mark.parametrize(
    ("last", "inputs", "outputs", "settings", "reason"),
    [
        (None, {}, {}, "hash", "never run"),
        (LAST, {"pairs": "4", "items": "1"}, {"pairs": "4"}, "hash", None),
        (LAST, {"pairs": "3", "items": "1"}, {"pairs": "4"}, "hash", None),
        (LAST, {"pairs": "5", "items": "1"}, {"pairs": "5"}, "hash", "pairs changed"),
        (LAST, {"pairs": "4", "items": "2"}, {"pairs": "4"}, "hash", "items changed"),
        (LAST, {"pairs": "4", "items": "1"}, {"pairs": "4"}, "other", "settings changed"),
        (LAST, {"pairs": "4", "items": "1"}, {"pairs": None}, "hash", "pairs is gone"),
    ],
)
def test_stale_reason(last, inputs, outputs, settings, reason) -> None:
    assert stale_reason(last, inputs, outputs, settings_hash=settings, code_version="0") == reason


def test_other_code_and_an_artifact_of_a_failed_run_make_stale() -> None:
    made = RunRecord(
        "r", "fit", "done", NOW, NOW, {}, {"codebook": "codebook-1"}, settings_hash="hash", code_version="0"
    )
    assert stale_reason(made, {}, {"codebook": "codebook-1"}, settings_hash="hash", code_version="0") is None
    assert (
        stale_reason(made, {}, {"codebook": "codebook-2"}, settings_hash="hash", code_version="0")
        == "codebook is not the one this job made last"
    )
    assert (
        stale_reason(made, {}, {"codebook": "codebook-1"}, settings_hash="hash", code_version="1")
        == "code changed from 0 to 1"
    )


def test_a_run_is_recorded_and_goes_stale(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    source = tmp_path / "input.txt"
    source.write_text("one")
    files = lambda _: [str(source)]  # noqa: E731
    job = Job(name="measure", steps=lambda run: run.measure("x.y", 1.5, "test"), sections=("mine",), source_files=files)
    lake = make_lake()
    assert state_of(lake, job, None) == State(True, "never run")
    record = run_job(lake, job, "run-1")
    assert record.metrics == {"x.y/test": 1.5}
    assert lake.warehouse.read(METRICS.name).select("run_id", "name", "slice", "value").collect() == [
        ("run-1", "x.y", "test", 1.5)
    ]
    last = lake.ledger.last_done()["measure"]
    assert state_of(lake, job, last) == State(False, "up to date")
    assert state_of(make_lake("mine.top_k=3"), job, last) == State(True, "settings changed")
    source.write_text("another")
    assert state_of(lake, job, last) == State(True, f"file:{source} changed")
    asked = replace(job, stands=lambda lake, record: f"until {record.run_id} is old")
    assert state_of(lake, asked, last) == State(False, "stands: until run-1 is old")
    assert state_of(make_lake("mine.top_k=3"), asked, last).is_stale, "another setting makes another result"
    lake.from_scratch = True
    assert state_of(lake, asked, last).is_stale


def test_a_night_that_lost_its_warehouse_makes_nothing_known(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    class Lost:
        def assert_held(self) -> None:
            raise QarmError("another nightly holds it")

    def steps(run: Run) -> None:
        (tmp_path / "files").mkdir(exist_ok=True)
        run.publish("thing", tmp_path / "files", {})

    lake = make_lake()
    lake.lock = Lost()  # type: ignore[assignment]
    for job in (Job(name="silent", steps=lambda _: None), Job(name="maker", steps=steps, makes=("thing",))):
        with pytest.raises(QarmError, match="another nightly"):
            run_job(lake, job, "run-1")
    assert lake.ledger.last_done() == {}
    assert lake.artifacts.latest("thing") is None


def test_a_failure_is_recorded_but_not_in_an_empty_warehouse(make_lake: Callable[..., Lake]) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("out of luck")

    lake, job = make_lake(), Job(name="fails", steps=fail)
    with pytest.raises(RuntimeError):
        run_job(lake, job, "run-1")
    assert not lake.warehouse.exists("runs")
    run_job(lake, Job(name="works", steps=lambda _: None), "run-2")
    with pytest.raises(RuntimeError):
        run_job(lake, job, "run-3")
    rows = {row["job"]: row for row in lake.warehouse.read("runs").collect()}
    assert rows["fails"]["status"] == "failed"
    assert "out of luck" in rows["fails"]["error"]
    assert set(lake.ledger.last_done()) == {"works"}
    works = lake.ledger.last_done()["works"]
    for minutes in (1, 2, 60):
        lake.ledger.record(replace(works, ended_at=works.started_at + timedelta(minutes=minutes)), [])
    assert lake.ledger.usual_seconds()["works"] == pytest.approx(90, abs=60)
    assert lake.ledger.usual_seconds(longest=True)["works"] == 3600


def events_on(spark: SparkSession, counts: list[int]):
    days = [(date(2025, 1, 1) + timedelta(days=i),) for i, count in enumerate(counts) for _ in range(count)]
    return frame_of(spark, days, "event_date DATE")


def test_periods_take_the_share_of_events_in_whole_days(spark: SparkSession) -> None:
    split = load_settings((), ["split.valid_share=0.2", "split.test_share=0.3"]).split
    periods = split_periods(events_on(spark, [10] * 10), split)
    assert (periods.valid_from, periods.test_from) == (date(2025, 1, 6), date(2025, 1, 8))
    busy_end = split_periods(events_on(spark, [5] * 10 + [50]), split)
    assert busy_end.test_from == date(2025, 1, 11)


def test_train_examples_begin_after_what_pairs_are_fitted_on(spark: SparkSession) -> None:
    split = load_settings((), ["split.valid_share=0.2", "split.test_share=0.3"]).split
    events = events_on(spark, [10] * 10)
    assert split_periods(events, split).rank_from is None
    assert split_periods(events, split).fit_until == date(2025, 1, 6)
    parted = split_periods(events, split.model_copy(update={"fit_share": 0.3}))
    assert (parted.fit_until, parted.rank_from, parted.valid_from) == (
        date(2025, 1, 4), date(2025, 1, 4), date(2025, 1, 6),
    )  # fmt: skip
    with pytest.raises(UserError, match="fit_share"):
        split_periods(events_on(spark, [10] * 3), split.model_copy(update={"fit_share": 0.2}))


def test_periods_need_three_days(spark: SparkSession) -> None:
    with pytest.raises(UserError, match="events on 2 days"):
        split_periods(events_on(spark, [5, 5]), load_settings().split)


@pytest.mark.parametrize("partitions", [1, 7])
def test_row_numbers_follow_the_key_whatever_the_partitions(spark: SparkSession, partitions: int) -> None:
    keys = (
        spark.range(100).select(F.format_string("k%03d", (F.col("id") * 37) % 100).alias("key")).repartition(partitions)
    )
    numbered = {row["key"]: row["n"] for row in with_row_number(keys, "n", "key").collect()}
    assert numbered == {f"k{i:03d}": i for i in range(100)}


def test_row_numbers_of_nothing(spark: SparkSession) -> None:
    assert with_row_number(frame_of(spark, [], "key STRING"), "n", "key").count() == 0


def test_a_folder_of_jars_replaces_the_packages(tmp_path: Path) -> None:
    spark = load_settings((), [f"spark.jars={tmp_path}"]).spark
    with pytest.raises(UserError, match=r"spark\.jars: .* holds no delta-spark"):
        spark_conf(spark)
    for name in ("delta-spark_2.13-4.0.1.jar", "delta-storage-4.0.1.jar"):
        (tmp_path / name).touch()
    conf = spark_conf(spark)
    assert "spark.jars.packages" not in conf
    assert [Path(jar).name for jar in conf["spark.jars"].split(",")] == [
        "delta-spark_2.13-4.0.1.jar",
        "delta-storage-4.0.1.jar",
    ]


def test_options_are_parted_between_spark_and_the_job() -> None:
    spark, job = split_options(["--master", "yarn", "--items", "a b", "--conf", "x=1", "--conf=y=2", "-e", "SELECT 1"])
    assert spark == {"--master": ["yarn"], "--conf": ["x=1", "y=2"]}
    assert job == ["--items", "a b", "-e", "SELECT 1"]


def test_the_users_options_add_to_ours(tmp_path: Path) -> None:
    packed = tmp_path / "qarm.zip"
    given = {"--packages": ["a:b:1"], "--py-files": ["mine.zip"], "--conf": ["spark.ui.enabled=false"], "--verbose": []}
    line = spark_options(given, load_settings().spark, packed)
    assert line[line.index("--packages") + 1] == "io.delta:delta-spark_2.13:4.0.1,a:b:1"
    assert line[line.index("--py-files") + 1] == f"{packed},mine.zip"
    assert "spark.ui.enabled=false" in line
    assert "spark.yarn.maxAppAttempts=1" in line
    assert line[line.index("--master") + 1] == "local[*]"
    assert "--verbose" in line


def test_the_packed_zip_imports_without_the_checkout(tmp_path: Path) -> None:
    packed = pack(tmp_path)
    assert pack(tmp_path) == packed
    script = (
        f"import sys; sys.path.insert(0, {str(packed)!r}); import jobs.nightly as n, schemas.settings as s;"
        "assert '.zip' in n.__file__, n.__file__; print(s.load_settings().mine.top_k)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.strip() == "100", done.stderr


def test_an_unknown_job_is_named() -> None:
    with pytest.raises(UserError, match=r"ingset is not a job; the jobs are .*ingest"):
        entry_of("ingset")


def test_a_frame_of_rows_is_what_spark_makes_of_them(spark: SparkSession) -> None:
    schema = "n INT, x DOUBLE, day DATE, at TIMESTAMP, parts ARRAY<FLOAT>, named MAP<STRING,STRING>, raw BINARY"
    at = datetime(2025, 1, 1, 10, 30, tzinfo=UTC)
    rows = [
        (1, 0.1, date(2025, 1, 1), at, [0.5, 1.5], {"a": "1", "b": "2"}, b"\x00\xff"),
        (None, None, None, None, None, None, None),
    ]
    made, expected = frame_of(spark, rows, schema), spark.createDataFrame(rows, schema)
    assert made.schema == expected.schema
    assert made.collect() == expected.collect()
    empty = frame_of(spark, [], schema)
    assert empty.schema == expected.schema
    assert empty.count() == 0


@pytest.mark.parametrize("folder", [None, "/somewhere"])
def test_spark_downloads_jars_where_the_user_may_write(folder: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "folder_of_jars", lambda: folder)
    assert spark_conf(load_settings().spark).get("spark.jars.ivy") == folder


def test_a_file_without_a_docstring_is_a_job_without_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "bare.py").write_text("JOB = None\n")
    monkeypatch.setattr("lake.submit.ROOT", tmp_path)
    assert jobs() == {"bare": ""}
