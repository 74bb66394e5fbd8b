"""Compaction and VACUUM change no row, make no job stale, and take no night from readers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs import tidy
from lake.command import main
from lake.declaration import Job
from lake.hadoop import TEMPORARY
from lake.history import has_version
from lake.lake import Lake
from lake.ledger import RunRecord
from lake.published import PASSED, Night
from lake.run import Run
from lake.staging import remove_staged
from lake.staleness import state_of
from lake.upkeep import DELTAS_HOURS, compact, files_of, hours_to_keep, remove_leftovers, retention_hours, vacuum
from schemas.contract import Column, Contract
from schemas.tables import ITEM_QUESTIONS, SEMANTIC_IDS
from schemas.version import VERSION

RETENTION = "delta.deletedFileRetentionDuration"
CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"
EVENTS = Contract(
    "events", "Events",
    (Column("user_id", "STRING", "A user"), Column("n", "INT", "A number"), Column("day", "DATE", "A day")),
    partition_by=("day",), cluster_by=("user_id",),
)  # fmt: skip
THINGS = Contract("things", "Things", (Column("n", "LONG", "A number"),), cluster_by=("n",))


def questions(lake: Lake, count: int) -> None:
    rows = lake.spark.range(count).selectExpr(
        "string(id) AS item_id", "'content' AS content_hash", "string(id) AS question", "'an answer' AS answer"
    )
    known = {column.name: column.type for column in ITEM_QUESTIONS.columns}
    for name in set(known) - set(rows.columns):
        rows = rows.selectExpr("*", f"CAST('x' AS {known[name]}) AS {name}")
    lake.warehouse.append(ITEM_QUESTIONS, rows.select(*ITEM_QUESTIONS.names))


def test_tidy_compacts_and_makes_no_job_stale(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    for _ in range(4):
        questions(lake, 3)
    read = lake.warehouse.version("item_questions")
    assert read is not None
    reader, now = Job(name="reader", steps=lambda _: None, reads=("item_questions",)), datetime.now(UTC)
    inputs, digest = {"item_questions": str(read)}, lake.settings.digest(())
    last = RunRecord("r", "reader", "done", now, now, inputs, {}, settings_hash=digest, code_version=VERSION)
    assert not state_of(lake, reader, last).is_stale
    assert files_of(lake.warehouse, "item_questions").count > 1
    assert main(tidy.COMMAND, ["--warehouse", lake.location]) == 0
    assert files_of(lake.warehouse, "item_questions").count == 1
    assert lake.warehouse.read("item_questions").count() == 12
    assert lake.warehouse.version("item_questions") != read
    assert not state_of(lake, reader, last).is_stale
    questions(lake, 1)
    assert state_of(lake, reader, last).why == "item_questions changed"


def test_files_of_a_night_that_readers_may_see_are_kept(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    first = lake.warehouse.overwrite(THINGS, lake.spark.range(3).toDF("n"))
    assert hours_to_keep(lake.warehouse, "things", [first]) == 0, "it is the newest"
    second = lake.warehouse.overwrite(THINGS, lake.spark.range(4).toDF("n"))
    assert hours_to_keep(lake.warehouse, "things", [first, second]) == 2, "replaced within this hour"
    assert hours_to_keep(lake.warehouse, "things", [second]) == 0
    assert hours_to_keep(lake.warehouse, "things", []) == 0
    assert retention_hours(lake.warehouse, "things") == DELTAS_HOURS
    lake.warehouse.create(SEMANTIC_IDS)
    assert retention_hours(lake.warehouse, "semantic_ids") == 3650 * 24


@pytest.mark.parametrize(("text", "hours"), [("interval 2 days", 48), ("36 hours", 36), ("INTERVAL 1 week", 168)])
def test_a_tables_own_retention_is_read_as_delta_reads_it(
    make_lake: Callable[..., Lake], text: str, hours: int
) -> None:
    lake = make_lake()
    lake.warehouse.create(THINGS)
    lake.warehouse.sql_on(THINGS, f"ALTER TABLE {{table}} SET TBLPROPERTIES ('{RETENTION}' = '{text}')")
    assert retention_hours(lake.warehouse, "things") == hours


def test_vacuum_takes_no_file_of_a_version_to_keep(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    """Delta forgets, after the table's own retention, which files its versions no longer need."""
    lake = make_lake()
    lake.spark.conf.set(CHECK, "false")
    try:
        first = lake.warehouse.overwrite(THINGS, lake.spark.range(3).toDF("n"))
        lake.warehouse.sql_on(THINGS, f"ALTER TABLE {{table}} SET TBLPROPERTIES ('{RETENTION}' = 'interval 0 hours')")
        last = lake.warehouse.overwrite(THINGS, lake.spark.range(4).toDF("n"))
        for file in (tmp_path / "warehouse" / "things").glob("*.parquet"):
            os.utime(file, times=(time.time() - 9 * 86_400,) * 2)
        time.sleep(1.1)
        assert vacuum(lake.warehouse, THINGS, [first]) is None
        assert has_version(lake.warehouse, "things", first)
        assert vacuum(lake.warehouse, THINGS, [last]) == 0
        assert not has_version(lake.warehouse, "things", first)
        assert has_version(lake.warehouse, "things", last)
    finally:
        lake.spark.conf.unset(CHECK)


def test_what_did_not_change_is_not_written_again(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()

    def add(*days: int) -> None:
        for day in days:
            rows = lake.spark.sql(f"SELECT 'u' AS user_id, {day} AS n, DATE'2025-03-0{day}' AS day")
            lake.warehouse.append(EVENTS, rows)

    def files(day: int) -> set[str]:
        return {*lake.warehouse.read("events").where(f"day = '2025-03-0{day}'").inputFiles()}

    add(1, 1, 2, 2)
    compact(lake.warehouse, EVENTS)
    assert [len(files(day)) for day in (1, 2)] == [1, 1]
    version = lake.warehouse.version("events")
    compact(lake.warehouse, EVENTS)
    assert lake.warehouse.version("events") == version
    time.sleep(1.1)
    add(2, 3, 3)
    before = files(1)
    compact(lake.warehouse, EVENTS)
    assert files(1) == before, "a day without new events"
    assert [len(files(day)) for day in (2, 3)] == [1, 1]
    assert lake.warehouse.read("events").count() == 7


def test_artifacts_and_leftovers_go_and_those_of_nights_stay(run: Run, tmp_path: Path) -> None:
    lake = run.lake
    (tmp_path / "files").mkdir()
    made = []
    for number in range(5):
        (tmp_path / "files" / "weights").write_text(str(number))
        made.append(lake.artifacts.publish("book", tmp_path / "files", {}).version)
    lake.published.record(Night("night", datetime.now(UTC), {"book": made[1]}, PASSED))
    run.prune("book", 1)
    assert lake.artifacts.versions("book") == [made[1], made[4]]
    staging = f"{lake.warehouse.root}/_staging"
    lake.files.write_text(f"{staging}/old/file", "x")
    time.sleep(0.3)
    lake.files.write_text(f"{staging}/new/file", "x")
    assert remove_leftovers(lake.files, staging, days=0.2 / 86_400) == ["old"]
    assert [status.name for status in lake.files.list(staging)] == ["new"]
    assert remove_leftovers(lake.files, f"{lake.warehouse.root}/_nothing", days=1) == []
    left = lake.files.local_path(f"{lake.warehouse.root}/_artifacts/book/{TEMPORARY}CURRENT-1")
    assert left is not None
    left.write_text("cut short")
    time.sleep(0.3)
    assert tidy.remove_temporary(lake, days=0.2 / 86_400) == 1
    assert not left.exists()
    assert lake.artifacts.require("book", "any").version == made[4]


def test_what_a_dead_run_staged_goes_alone(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    for name in ("dead-job-rows", "alive-job-rows"):
        lake.files.write_text(f"{lake.warehouse.root}/_staging/{name}/part", "x")
    remove_staged(lake, "dead")
    assert [status.name for status in lake.files.list(f"{lake.warehouse.root}/_staging")] == ["alive-job-rows"]


def test_a_query_reads_fewer_files_of_a_clustered_table(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    statistics = "spark.databricks.delta.stats.collect"
    before = lake.spark.conf.get(statistics)
    lake.spark.conf.set(statistics, "true")
    lake.spark.conf.set("spark.databricks.delta.optimize.maxFileSize", "2000")
    try:
        for part in range(6):
            lake.warehouse.append(THINGS, lake.spark.range(0, 6000, 6).selectExpr(f"id + {part} AS n"))

        def read() -> int:
            return len(lake.warehouse.read("things").where("n BETWEEN 10 AND 20").inputFiles())

        everywhere = read()
        tidy.compact(lake.warehouse, THINGS)
        assert read() < everywhere / 2
    finally:
        lake.spark.conf.set(statistics, before or "true")
        lake.spark.conf.unset("spark.databricks.delta.optimize.maxFileSize")
