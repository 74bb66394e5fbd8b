"""The record of published nights, and what readers see by it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import rollback
from jobs.night.views import show_again
from lake.command import main
from lake.lake import Lake
from lake.published import BY_HAND, PASSED, WITHDRAWN, Night
from lake.views import bring_into_scope, full_names, publish_function, publish_view
from schemas.contract import Column, Contract
from schemas.errors import UserError

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
THINGS = Contract("things", "Things", (Column("n", "INT", "A number"),))
NAMES = Contract("names", "Names", (Column("n", "INT", "A number"),))
JOINED = "SELECT t.n, x.n AS named FROM {things} t JOIN {names} x ON true"
MORE_THAN = "(least INT) RETURNS TABLE (n INT) RETURN SELECT n FROM {things} WHERE n > least"


def publish(lake: Lake, shown: Night) -> None:
    """A view and a function of a night."""
    texts = full_names(lake.warehouse, tables=["things", "names"], views=["joined"], versions=shown.versions)
    publish_view(lake.warehouse, "joined", JOINED.format_map(texts), comment="Numbers with their names")
    publish_function(lake.warehouse, "more_than", MORE_THAN.format_map(texts))


@pytest.fixture
def catalog(spark: SparkSession, make_lake: Callable[..., Lake], tmp_path: Path) -> Iterator[Lake]:
    name = f"published_{tmp_path.name.replace('-', '_')}"
    spark.sql(f"CREATE SCHEMA spark_catalog.{name}")
    yield make_lake(location=f"spark_catalog.{name}")
    spark.sql("USE spark_catalog.default")


def night(lake: Lake, number: int, published: bool = True, tables: tuple[Contract, ...] = (THINGS, NAMES)) -> Night:
    """Writes the tables and a ranker anew, and records the night."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "weights").write_text(str(number))
        versions = {"ranker": lake.artifacts.publish("ranker", Path(folder), {}).version}
    for contract in tables:
        rows = lake.spark.sql(f"SELECT {number} AS n")
        versions[contract.name] = str(lake.warehouse.overwrite(contract, rows))
    at = NOON + timedelta(days=number) if published else None
    made = Night(f"run-{number}", at, versions, PASSED if published else "held back: few rows")
    lake.published.record(made)
    return made


def test_readers_see_the_newest_published_night(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    assert lake.published.current() is None
    first = night(lake, 1, tables=())
    second = night(lake, 2, published=False, tables=())
    assert lake.published.nights() == [first, second]
    assert second.is_held_back
    assert lake.published.current() == first
    shown = lake.published.publish("run-2", NOON + timedelta(days=9))
    assert lake.published.current() == shown
    assert (shown.verdict, shown.is_held_back) == (BY_HAND, False)
    assert lake.published.withdraw() == first
    assert lake.published.current() == first
    assert [n.verdict for n in lake.published.nights()] == [PASSED, WITHDRAWN]
    with pytest.raises(UserError, match="no other night is published"):
        lake.published.withdraw()
    with pytest.raises(UserError, match="has no such night; the newest are run-1, run-2"):
        lake.published.publish("run-3", NOON)


def test_a_night_whose_files_were_removed_is_not_shown(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    first = night(lake, 1)
    night(lake, 2)
    file = lake.warehouse.read("names", int(first.versions["names"])).inputFiles()[0]
    lake.files.delete(file)
    with pytest.raises(UserError, match="table names is no longer there in version"):
        lake.published.withdraw()
    assert lake.published.current().run_id == "run-2"  # type: ignore[union-attr]


def test_a_night_whose_artifact_was_removed_is_not_shown(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    first = night(lake, 1)
    held = night(lake, 2, published=False)
    for made in (first, held):
        lake.files.delete(f"{lake.warehouse.root}/_artifacts/ranker/{made.versions['ranker']}")
    with pytest.raises(UserError, match=rf"night run-2: {held.versions['ranker']} is gone, removed by a later night"):
        lake.published.publish("run-2", NOON)
    night(lake, 3)
    with pytest.raises(UserError, match=f"night run-1: {first.versions['ranker']} is gone"):
        lake.published.withdraw()
    assert lake.published.current().run_id == "run-3"  # type: ignore[union-attr]


def test_nights_that_may_yet_be_published_keep_what_they_need(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    for number, published in enumerate([True, False, True, True, False, False, False]):
        night(lake, number, published, tables=())
    assert [n.run_id for n in lake.published.to_keep(2)] == ["run-2", "run-3", "run-5", "run-6"]
    assert [n.run_id for n in lake.published.to_keep(9)] == ["run-0", "run-2", "run-3", "run-4", "run-5", "run-6"]


def test_what_was_published_and_not_shown_is_shown_by_the_next_call(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    night(lake, 1)
    show_again(lake)
    assert lake.published.shown() == "run-1"
    night(lake, 2)
    assert lake.published.shown() == "run-1", "the night was killed after its commit"
    show_again(lake)
    assert lake.published.shown() == "run-2"
    lake.published.withdraw()  # a rollback that was killed after its commit
    assert main(rollback.COMMAND, ["--warehouse", lake.location]) == 0
    assert lake.published.current().run_id == lake.published.shown() == "run-1"  # type: ignore[union-attr]


def test_a_session_stays_with_the_night_it_began_with(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    first = night(lake, 1)
    publish(lake, first)
    assert bring_into_scope(lake.warehouse, ["things", "names"], first.versions) == ["things", "names", "joined"]
    second = night(lake, 2)
    assert [tuple(row) for row in lake.spark.table("joined").collect()] == [(1, 1)]
    assert [tuple(row) for row in lake.spark.sql("SELECT * FROM more_than(0)").collect()] == [(1,)]
    bring_into_scope(lake.warehouse, ["things", "names"], second.versions)
    assert [tuple(row) for row in lake.spark.table("joined").collect()] == [(2, 2)]
    assert [tuple(row) for row in lake.spark.sql("SELECT * FROM more_than(0)").collect()] == [(2,)]


def test_a_view_or_function_that_spark_refuses_is_left_out_and_named(
    make_lake: Callable[..., Lake], caplog: pytest.LogCaptureFixture
) -> None:
    lake = make_lake()
    first = night(lake, 1)
    publish(lake, first)
    publish_view(lake.warehouse, "lacking", "SELECT * FROM nowhere")
    publish_function(lake.warehouse, "also_lacking", "(n INT) RETURNS TABLE (m INT) RETURN SELECT m FROM nowhere")
    publish_view(lake.warehouse, "column_gone", "SELECT renamed FROM things")
    publish_view(lake.warehouse, "broken", "SELECT FROM WHERE")
    publish_function(lake.warehouse, "broken_too", "no definition")
    lake.spark.range(1).createOrReplaceTempView("lacking")  # as in the night before
    assert bring_into_scope(lake.warehouse, ["things", "names"], first.versions) == ["things", "names", "joined"]
    assert lake.spark.sql("SELECT * FROM more_than(0)").count() == 1
    assert [lake.spark.catalog.tableExists(name) for name in ("lacking", "joined")] == [False, True]
    told = [message.split(" is left out: ")[0] for message in caplog.messages if " is left out: " in message]
    assert sorted(told) == [
        "function also_lacking", "function broken_too", "view broken", "view column_gone", "view lacking",
    ]  # fmt: skip


def test_a_view_of_a_catalog_whose_table_was_never_written_is_left_out_and_named(
    catalog: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    only = night(catalog, 1, tables=(THINGS,))
    publish(catalog, only)
    publish_view(catalog.warehouse, "alone", f"SELECT n FROM {catalog.location}.things")
    assert {*bring_into_scope(catalog.warehouse, ["things", "names"], only.versions)} >= {"things", "alone"}
    assert not catalog.spark.catalog.tableExists(f"{catalog.location}.joined")
    assert any(message.startswith("view joined is left out: ") for message in caplog.messages)


def test_a_view_of_a_catalog_shows_one_night_whatever_is_written(catalog: Lake) -> None:
    def show(shown: Night) -> None:
        publish(catalog, shown)

    def seen() -> list[tuple[int, int]]:
        found = [tuple(row) for row in catalog.spark.table(f"{catalog.location}.joined").collect()]
        session = catalog.spark.newSession()  # one that has called a function keeps it as it was
        session.sql(f"USE {catalog.location}")  # Spark takes no schema before the name of a table function
        of_function = session.sql("SELECT * FROM more_than(0)").collect()
        assert [tuple(row) for row in of_function] == [(n,) for n, _ in found]
        return found

    first = night(catalog, 1)
    show(first)
    assert seen() == [(1, 1)]
    night(catalog, 2, published=False)
    assert seen() == [(1, 1)]
    show(catalog.published.publish("run-2", NOON + timedelta(days=3)))
    assert seen() == [(2, 2)]
    show(catalog.published.withdraw())
    assert seen() == [(1, 1)]
    assert set(bring_into_scope(catalog.warehouse, ["things", "names"], first.versions)) >= {"things", "joined"}


def test_readers_outside_spark_find_paths_and_versions(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    made = night(lake, 1)
    lake.published.write_pointer(made, lake.artifacts.root)
    told = json.loads(lake.files.read_text(f"{lake.warehouse.root}/published.json"))
    assert told["run_id"] == "run-1"
    assert told["published_at"] == "2025-01-02T12:00:00+00:00"
    assert told["tables"]["things"] == {
        "path": f"{lake.warehouse.root}/things",
        "version": int(made.versions["things"]),
    }
    assert told["artifacts"]["ranker"]["path"].endswith(f"_artifacts/ranker/{made.versions['ranker']}")
