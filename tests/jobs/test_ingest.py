from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from jobs import ingest, mine_pairs
from jobs.intake.inputs import read_inputs, shape_inputs
from jobs.intake.interactions import shape_interactions
from jobs.intake.items import shape_items, with_content_hash
from lake.command import main
from lake.declaration import Job
from lake.execution import new_run_id, run_job
from lake.frames import frame_of
from lake.inputs.part import with_our_names
from lake.inputs.typed import part_of
from lake.lake import Lake
from lake.run import Run
from lake.staleness import state_of
from schemas.contract import Contract
from schemas.settings import Settings, load_settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HASHES = ["2373dbbe803ad09b", "1fc312fdafde56c3"]

ITEMS = pd.DataFrame(
    {
        "item_id": ["a", "b", "c"],
        "title": ["Apple", "Bread", None],
        "category": ["fruit", None, "dairy"],
        "size": ["1", None, "2"],
    }
)
LOG = pd.DataFrame(
    {
        "user_id": ["u1", "u1", "u2", None, "u2", "u2", "u1", "u2"],
        "item_id": ["a", "a", "b", "a", None, "zzz", "b", "c"],
        "event_time": ["2025-01-01 10:00"] * 2 + ["2025-01-02T00:00:00Z"] + ["2025-01-01"] * 3 + ["1901-01-01", "soon"],
        "weight": [1.0, 3.0, None, 1.0, 1.0, 1.0, 1.0, 1.0],
    }
)  # fmt: skip


def write(folder: Path, log: pd.DataFrame, items: pd.DataFrame) -> list[str]:
    folder.mkdir(exist_ok=True)
    log.to_csv(folder / "log.csv", index=False)
    items.to_json(folder / "items.json", orient="records", lines=True)
    return [f'ingest.interactions="{folder}/log.csv"', f'ingest.items="{folder}/items.json"']


@pytest.fixture(scope="module")
def ingested(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One ingest of the log above; its tests only read."""
    folder = tmp_path_factory.mktemp("ingested")
    lake = Lake(spark, load_settings((), write(folder / "input", LOG, ITEMS)), str(folder / "warehouse"))
    run_job(lake, ingest.JOB, "run-1")
    return lake


def test_good_rows_are_taken_and_folded(ingested: Lake) -> None:
    rows = ingested.warehouse.read("interactions").orderBy("user_id")
    texts = rows.selectExpr("user_id", "item_id", "string(event_time)", "action", "weight", "string(event_date)")
    assert [tuple(row) for row in texts.collect()] == [
        ("u1", "a", "2025-01-01 10:00:00", "click", 3.0, "2025-01-01"),
        ("u2", "b", "2025-01-02 00:00:00", "click", 1.0, "2025-01-02"),
    ]  # fmt: skip


def test_every_other_row_is_kept_with_its_reason(ingested: Lake) -> None:
    rows = ingested.warehouse.read("rejected_rows").collect()
    reasons = {row["reason"]: json.loads(row["row"]) for row in rows}
    assert set(reasons) == {"null_user_id", "null_item_id", "unknown_item", "impossible_time", "unreadable_time"}
    assert reasons["unknown_item"]["item_id"] == "zzz"
    assert reasons["unreadable_time"]["event_time"] == "soon"
    metrics = {(r["name"], r["slice"]): r["value"] for r in ingested.warehouse.read("metrics").collect()}
    assert metrics["ingest.interactions", "all"] + metrics["ingest.duplicates_folded", "all"] + len(rows) == len(LOG)
    assert metrics["ingest.rows", "interactions"] == len(LOG)


def test_items_take_unknown_columns_as_attributes(ingested: Lake) -> None:
    rows = {row["item_id"]: row for row in ingested.warehouse.read("items").collect()}
    assert rows["a"]["attributes"] == {"size": "1"}
    assert rows["b"]["attributes"] == {}
    assert rows["c"]["title"] is None
    assert len({row["content_hash"] for row in rows.values()}) == 3


def test_later_nights_change_what_differs_and_delete_nothing(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    first = make_lake(*write(tmp_path / "first", LOG, ITEMS))
    run_job(first, ingest.JOB, "run-1")
    before = {r["item_id"]: r for r in first.warehouse.read("items").collect()}
    versions = [first.warehouse.version(name) for name in ("items", "interactions")]
    run_job(first, ingest.JOB, "run-2")
    assert [first.warehouse.version(name) for name in ("items", "interactions")] == versions
    later = pd.DataFrame({"user_id": ["u3"], "item_id": ["c"], "event_time": ["2025-01-05"]})
    changed = ITEMS.assign(title=["Apple", "Brown bread", None])[:2]
    run_job(make_lake(*write(tmp_path / "second", later, changed)), ingest.JOB, "run-3")
    after = {r["item_id"]: r for r in first.warehouse.read("items").collect()}
    assert (after["a"], after["c"]) == (before["a"], before["c"])
    assert after["b"]["title"] == "Brown bread"
    assert after["b"]["first_seen"] == before["b"]["first_seen"] < after["b"]["updated_at"]
    assert first.warehouse.read("interactions").count() == 3


def test_a_later_night_reads_new_files_and_those_whose_items_came_late(
    make_lake: Callable[..., Lake], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "qarm")
    folder, items = tmp_path / "log", tmp_path / "items.csv"
    folder.mkdir()

    def night(name: str, log: list[tuple[str, str, str]], known: list[str]) -> tuple[Lake, str]:
        if log:
            frame = pd.DataFrame(log, columns=["user_id", "item_id", "event_time"])
            frame.to_csv(folder / f"{name}.csv", index=False)
        pd.DataFrame({"item_id": known, "title": known}).to_csv(items, index=False)
        lake = make_lake(f'ingest.interactions="{folder}"', f'ingest.items="{items}"')
        caplog.clear()
        run_job(lake, ingest.JOB, f"run-{name}")
        return lake, caplog.text

    first = [("u1", "a", "2025-01-03"), ("u2", "b", "2025-01-03"), ("u2", "late", "2025-01-03")]
    _, told = night("1", first, ["a", "b"])
    assert "files of the log are new" not in told
    day = [("u1", "b", "2025-01-04"), ("u3", "a", "2025-01-02")]
    lake, told = night("2", day, ["a", "b"])
    assert "ingest: 1 of 2 files of the log are new" in told
    assert "held events" not in told
    assert lake.warehouse.read("interactions").count() == 4, "a late day is taken in"
    _, told = night("3", [], ["a", "b", "c"])
    assert "ingest: 1 of 2 files of the log are new or held events of items that are new now" in told
    lake, _ = night("4", [("u9", "no such", "2025-01-05")], ["a", "b", "c", "late"])
    assert lake.warehouse.read("interactions").where("item_id = 'late'").count() == 1, "nothing is lost"
    assert lake.warehouse.read("interactions").count() == 5
    version = lake.warehouse.version("interactions")
    lake, told = night("5", [], ["a", "b", "c", "late"])
    assert "ingest: 0 of 3 files of the log are new" in told
    assert lake.warehouse.version("interactions") == version
    read = {Path(r["path"]).name: r["run_id"] for r in lake.warehouse.read("ingested_files").collect()}
    assert read == {"1.csv": "run-4", "2.csv": "run-2", "4.csv": "run-5"}
    lake.from_scratch = True
    caplog.clear()
    run_job(lake, ingest.JOB, "run-6")
    assert "files of the log are new" not in caplog.text


def test_a_night_killed_between_its_tables_still_reads_what_waited(
    make_lake: Callable[..., Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = tmp_path / "items.csv"
    pd.DataFrame(
        [("u1", "a", "2025-01-03"), ("u2", "b", "2025-01-03"), ("u2", "late", "2025-01-03")],
        columns=["user_id", "item_id", "event_time"],
    ).to_csv(tmp_path / "log.csv", index=False)

    def night(known: list[str]) -> Lake:
        pd.DataFrame({"item_id": known, "title": known}).to_csv(items, index=False)
        lake = make_lake(f'ingest.interactions="{tmp_path / "log.csv"}"', f'ingest.items="{items}"')
        run_job(lake, ingest.JOB, new_run_id())
        return lake

    def killed(run: Run, contract: Contract, *given: Any, **named: Any) -> None:
        whole(run, contract, *given, **named)
        if contract.name in ("interactions", "items"):
            raise KeyboardInterrupt

    night(["a", "b"])
    whole = Run.merge
    with monkeypatch.context() as patch:
        patch.setattr(Run, "merge", killed)
        with pytest.raises(KeyboardInterrupt):
            night(["a", "b", "late"])
    assert night(["a", "b", "late"]).warehouse.read("interactions").where("item_id = 'late'").count() == 1


def test_a_table_that_was_removed_comes_back_whole(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    lake = make_lake(*write(tmp_path / "input", LOG, ITEMS))
    run_job(lake, ingest.JOB, new_run_id())
    last = lake.ledger.last_done()["ingest"]
    before = lake.warehouse.read("interactions").count()
    lake.files.delete(f"{lake.warehouse.root}/interactions")
    assert state_of(lake, ingest.JOB, last).why == "interactions is gone"
    run_job(lake, ingest.JOB, new_run_id())
    assert lake.warehouse.read("interactions").count() == before
    reader = Job(name="reader", steps=lambda _: None, reads=("interactions",))
    digest = lake.settings.digest(())
    known = replace(last, job="reader", input_versions={"interactions": "9"}, output_versions={}, settings_hash=digest)
    assert state_of(lake, reader, known).why == "interactions changed", "made anew, its versions begin anew"


@pytest.mark.parametrize("form", ["parquet", "csv", "json", "delta"])
def test_every_format_that_spark_writes_gives_the_same_rows(form: str, spark: SparkSession, tmp_path: Path) -> None:
    log = frame_of(spark, [("u1", "a", "2025-01-01 10:00:00")], "shopper STRING, sku STRING, at STRING")
    items = frame_of(spark, [("a", "Apple")], "sku STRING, title STRING")
    paths = []
    for name, frame in (("interactions", log), ("items", items)):
        frame.write.format(form).options(header=True).save(f"{tmp_path}/{name}.{form}")
        paths.append(f'ingest.{name}="{tmp_path}/{name}.{form}"')
    rename = 'ingest.rename={ shopper = "user_id", sku = "item_id", at = "event_time" }'
    settings = load_settings((), [*paths, rename])
    events, _ = shape_inputs(*read_inputs(spark, settings.ingest), settings, NOW)
    assert [tuple(r) for r in events.selectExpr("user_id", "item_id", "string(event_time)", "action").collect()] == [
        ("u1", "a", "2025-01-01 10:00:00", "click")
    ]


def test_a_label_becomes_the_first_positive_action(spark: SparkSession, settings: Settings) -> None:
    log = frame_of(
        spark,
        [(7.0, 1, 1735725600, 1), (7.0, 2, 1735725600000, 0)],
        "user_id DOUBLE, item_id INT, event_time LONG, label INT",
    )
    ranking = settings.ranking.model_copy(update={"tasks": {"buy": ["purchase"]}})
    rows = shape_interactions(part_of(log, "log"), settings.ingest, ranking, NOW).collect()
    assert [(r["user_id"], r["item_id"], str(r["event_time"]), r["action"]) for r in rows] == [
        ("7", "1", "2025-01-01 10:00:00", "purchase"),
        ("7", "2", "2025-01-01 10:00:00", "impression"),
    ]


def test_attributes_survive_null_maps_and_equal_names(spark: SparkSession) -> None:
    items = frame_of(
        spark,
        [("a", "A", None, "x"), ("b", "B", {"brand": "old", "size": "1"}, "y")],
        "item_id STRING, title STRING, attributes MAP<STRING,STRING>, brand STRING",
    )
    rows = {r["item_id"]: r["attributes"] for r in shape_items(part_of(items, "items"), NOW).collect()}
    assert rows == {"a": {"brand": "x"}, "b": {"size": "1", "brand": "y"}}


def test_contents_have_the_hashes_that_earlier_versions_gave_them(spark: SparkSession) -> None:
    """Another hash would embed and code every content of a warehouse anew."""
    items = frame_of(
        spark,
        [("a", "Apple", "fruit", None, "1"), ("b", "Bread", None, "fresh", None)],
        "item_id STRING, title STRING, category STRING, description STRING, size STRING",
    )
    rows = with_content_hash(shape_items(part_of(items, "items"), NOW)).collect()
    assert [row["content_hash"][:16] for row in rows] == HASHES


def test_a_rename_is_for_the_input_that_lacks_our_name(spark: SparkSession) -> None:
    log = part_of(frame_of(spark, [("e1", "i1")], "id STRING, item_id STRING"), "log")
    items = part_of(frame_of(spark, [("i1", "A")], "id STRING, title STRING"), "items")
    assert with_our_names(log, ("item_id",), {"id": "item_id"}).names == ["id", "item_id"]
    assert with_our_names(items, ("item_id",), {"id": "item_id"}).names == ["item_id", "title"]


def fails(capsys: pytest.CaptureFixture[str], warehouse: Path | str, *arguments: str) -> str:
    capsys.readouterr()
    code = main(ingest.JOB, ["--warehouse", str(warehouse), *arguments])
    lines = [line for line in capsys.readouterr().err.splitlines() if not line[:2].isdigit()]
    assert code == 2
    assert len(lines) == 1, lines
    return lines[0]


GOOD = pd.DataFrame({"user_id": ["u1", "u2"], "item_id": ["a", "b"], "event_time": ["2025-01-01", "2025-01-02"]})


@pytest.mark.parametrize(
    ("log", "items", "message"),
    [
        (GOOD[:0], ITEMS, r"log\.csv: the input has no rows"),
        (GOOD.drop(columns="event_time"), ITEMS, r"no column event_time \(it has user_id, item_id\)"),
        (GOOD, ITEMS.drop(columns="title"), "no column title"),
        (GOOD[:1], ITEMS, "all events are of user u1"),
        (GOOD, ITEMS.assign(title=None), "column title is empty in all 3 rows"),
        (GOOD.assign(event_time="soon"), ITEMS, "all 2 rows are rejected: 2 unreadable_time"),
        (GOOD, ITEMS.assign(item_id=None), "all 3 rows are rejected: 3 null_item_id"),
    ],
)
def test_unusable_input_is_one_line_and_nothing_is_written(
    log: pd.DataFrame,
    items: pd.DataFrame,
    message: str,
    tmp_path: Path,
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.to_csv(tmp_path / "log.csv", index=False)
    items.to_csv(tmp_path / "items.csv", index=False)
    line = fails(capsys, tmp_path / "wh", "--interactions", f"{tmp_path}/log.csv", "--items", f"{tmp_path}/items.csv")
    assert re.search(message, line), line
    assert not (tmp_path / "wh").exists()


def test_mistakes_on_the_command_line_are_one_line(
    tmp_path: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    GOOD.to_csv(tmp_path / "log.csv", index=False)
    ITEMS.to_csv(tmp_path / "items.csv", index=False)
    inputs = ["--interactions", f"{tmp_path}/log.csv", "--items", f"{tmp_path}/items.csv"]
    missing = ["--interactions", f"{tmp_path}/none.csv", "--items", f"{tmp_path}/items.csv"]
    assert "none.csv: no such file or folder" in fails(capsys, tmp_path / "wh", *missing)
    assert "--interactions PATH is missing" in fails(capsys, tmp_path / "wh")
    assert "--rename shop=user_id: no input has a column shop" in fails(
        capsys, tmp_path / "wh", *inputs, "--rename", "shop=user_id"
    )
    assert "--rename nonsense: expected theirs=ours" in fails(capsys, tmp_path / "wh", *inputs, "--rename", "nonsense")
    assert "mine.topk is not a setting" in fails(capsys, tmp_path / "wh", *inputs, "--set", "mine.topk=1")
    (tmp_path / "log").write_text("text")
    assert "the extension names no known format" in fails(
        capsys, tmp_path / "wh", "--interactions", f"{tmp_path}/log", *inputs[2:]
    )
    (tmp_path / "file").touch()
    assert "cannot be written" in fails(capsys, tmp_path / "file" / "wh", *inputs)
    assert not (tmp_path / "wh").exists()


def test_a_job_before_its_inputs_names_what_to_run(
    tmp_path: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(mine_pairs.JOB, ["--warehouse", str(tmp_path / "wh")]) == 2
    assert "table interactions does not exist" in capsys.readouterr().err
