from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Barrier

import deltalake
import pyarrow as pa
import pytest
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lake.declaration import Job
from lake.frames import frame_of
from lake.history import history
from lake.lake import Lake
from lake.run import Run
from lake.warehouse import Warehouse
from schemas.contract import Column, Contract, Part
from schemas.errors import ContractError, QarmError, UserError
from tests.quick_spark import QUICK

PRICES = Contract(
    name="prices",
    comment="What things cost",
    columns=(
        Column("sku", "STRING", "The thing", nullable=False),
        Column("price", "DOUBLE", "What it costs", nullable=False),
        Column("since", "INT", "Since when"),
    ),
    key=("sku",),
    checks={"price_not_negative": "price >= 0"},
)


@pytest.fixture(params=["folder", "catalog", "viewfs"])
def warehouse(request: pytest.FixtureRequest, spark: SparkSession, make_lake: Callable[..., Lake]) -> Warehouse:
    name = f"w{abs(hash(request.node.name))}"
    if request.param == "catalog":
        spark.sql(f"CREATE SCHEMA spark_catalog.{name}")
        return make_lake(location=f"spark_catalog.{name}").warehouse
    return make_lake(location=f"viewfs://test/data/{name}" if request.param == "viewfs" else None).warehouse


def rows(spark: SparkSession, *values: tuple[str, float, int]) -> DataFrame:
    return frame_of(spark, list(values), "sku STRING, price DOUBLE, since INT")


def content(warehouse: Warehouse, version: int | None = None) -> set[tuple[str, float, int]]:
    return {tuple(row) for row in warehouse.read("prices", version).collect()}


def test_versions_comments_and_merge(warehouse: Warehouse, spark: SparkSession) -> None:
    assert warehouse.version("prices") is None
    first = warehouse.overwrite(PRICES, rows(spark, ("a", 1.0, 1), ("b", 2.0, 1)))
    merged = warehouse.merge(
        PRICES, rows(spark, ("b", 3.0, 9), ("a", 1.0, 9), ("c", 4.0, 9)), ["price"], keep=["since"]
    )
    assert merged == first + 1 == warehouse.version("prices")
    # a is unchanged and left alone; b changed but keeps its "since"; c is new.
    assert content(warehouse) == {("a", 1.0, 1), ("b", 3.0, 1), ("c", 4.0, 9)}
    assert content(warehouse, first) == {("a", 1.0, 1), ("b", 2.0, 1)}
    again = warehouse.merge(PRICES, rows(spark, ("b", 3.0, 99)), ["price"])
    assert again == merged == warehouse.version("prices"), "nothing changed, so no version is written"
    comments = {f.name: f.metadata.get("comment") for f in warehouse.read("prices").schema.fields}
    assert comments == {"sku": "The thing", "price": "What it costs", "since": "Since when"}


@pytest.fixture
def _statistics(spark: SparkSession) -> Iterator[None]:
    """Delta knows by its statistics, which tests do without, that a file holds no rows."""
    spark.conf.set("spark.databricks.delta.stats.collect", "true")
    yield
    spark.conf.set("spark.databricks.delta.stats.collect", QUICK["spark.databricks.delta.stats.collect"])


@pytest.mark.usefixtures("_statistics")
def test_adding_no_rows_writes_nothing_and_is_no_error(make_lake: Callable[..., Lake], spark: SparkSession) -> None:
    warehouse = make_lake().warehouse
    first = warehouse.append(PRICES, rows(spark, ("a", 1.0, 1)))
    spark.conf.unset("spark.databricks.delta.lastCommitVersionInSession")  # as in a session that has written nothing
    assert warehouse.append(PRICES, rows(spark)) == first == warehouse.version("prices")
    other = Contract("others", PRICES.comment, PRICES.columns, PRICES.key, PRICES.checks)
    for _ in range(3):  # its versions run ahead
        warehouse.append(other, rows(spark, ("a", 1.0, 1)))
    assert warehouse.append(PRICES, rows(spark)) == first, "not the version of another table's commit"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (("b", -1.0, 1), "price_not_negative"),
        ((None, 1.0, 1), "NOT NULL constraint violated for column: sku"),
        (("a", 5.0, 1), "2 rows have the key sku=a"),
    ],
)
@pytest.mark.parametrize("write", ["overwrite", "merge"])
def test_a_row_that_breaks_the_contract_fails_the_write(
    make_lake: Callable[..., Lake], spark: SparkSession, bad: tuple, message: str, write: str
) -> None:
    warehouse = make_lake().warehouse
    version = warehouse.overwrite(PRICES, rows(spark, ("z", 1.0, 1)))
    new = rows(spark, ("a", 1.0, 1), bad)
    with pytest.raises(ContractError, match=message):
        warehouse.merge(PRICES, new, ["price"]) if write == "merge" else warehouse.overwrite(PRICES, new)
    assert warehouse.version("prices") == version
    assert content(warehouse) == {("z", 1.0, 1)}


def test_other_writers_are_held_to_the_contract_too(make_lake: Callable[..., Lake], spark: SparkSession) -> None:
    warehouse = make_lake().warehouse
    warehouse.overwrite(PRICES, rows(spark, ("z", 1.0, 1)))
    with pytest.raises(Exception, match="price_not_negative"):
        rows(spark, ("a", -1.0, 1)).write.format("delta").mode("append").save(f"{warehouse.root}/prices")


def test_missing_and_mistyped_columns_are_all_named(make_lake: Callable[..., Lake], spark: SparkSession) -> None:
    new = frame_of(spark, [("a", "1")], "sku STRING, price STRING")
    with pytest.raises(ContractError, match="table prices: price is string, not double; since is missing"):
        make_lake().warehouse.append(PRICES, new)


def test_other_columns_replace_the_table_and_keep_its_past(make_lake: Callable[..., Lake], spark: SparkSession) -> None:
    warehouse = make_lake().warehouse
    old = warehouse.overwrite(PRICES, rows(spark, ("a", 1.0, 1)))
    wider = Contract("prices", "", (*PRICES.columns, Column("shop", "STRING", "Where", nullable=False)), key=("sku",))
    new = rows(spark, ("b", 2.0, 2)).selectExpr("*", "'here' AS shop")
    run = Run(make_lake(), Job(name="test", steps=lambda _: None, reads=("prices",)), "run-1")
    assert run.find_with_columns(PRICES).collect() == warehouse.read("prices").collect()  # type: ignore[union-attr]
    assert run.find_with_columns(wider) is None, "of other columns"
    warehouse.overwrite(wider, new)
    assert [tuple(row) for row in warehouse.read("prices").collect()] == [("b", 2.0, 2, "here")]
    assert content(warehouse, old) == {("a", 1.0, 1)}
    with pytest.raises(ContractError, match="column: shop"):
        warehouse.overwrite(wider, new.selectExpr("sku", "price", "since", "string(null) AS shop"))


def test_a_column_of_another_type_replaces_the_table_and_parts_keep_their_comments(
    warehouse: Warehouse, spark: SparkSession
) -> None:
    def contract(column: Column) -> Contract:
        return Contract("sizes", "How large things are", (Column("sku", "STRING", "The thing", nullable=False), column))

    old = contract(Column("size", "ARRAY<FLOAT>", "Width and height", nullable=False))
    parts = (Part("width", "FLOAT", "How wide, in the thing's own units"), Part("height", "FLOAT", "How high"))
    kind = "STRUCT<width: FLOAT, height: FLOAT>"
    new = contract(Column("size", kind, "How large", nullable=False, parts=parts))
    version = warehouse.overwrite(old, spark.sql("SELECT 'a' AS sku, array(1F, 2F) AS size"))
    for contracts in range(2):
        warehouse.overwrite(new, spark.sql("SELECT 'a' AS sku, named_struct('width', 1F, 'height', 2F) AS size"))
        assert warehouse.read("sizes").select("size.height").collect()[0][0] == 2, contracts
    assert warehouse.read("sizes", version).select("size").collect()[0][0] == [1, 2], "readers of a published night"
    of_parts = {f.name: f.metadata.get("comment") for f in warehouse.read("sizes").schema["size"].dataType.fields}
    assert of_parts == {part.name: part.comment for part in parts}


def test_merge_rewrites_no_file_without_a_change(make_lake: Callable[..., Lake], spark: SparkSession) -> None:
    contract = Contract(
        "parts", "", (*PRICES.columns[:2], Column("day", "INT", "Day")), key=("sku",), partition_by=("day",)
    )
    warehouse = make_lake().warehouse
    table = spark.range(20).select(
        F.col("id").cast("string").alias("sku"), F.lit(1.0).alias("price"), (F.col("id") % 2).cast("int").alias("day")
    )
    before = set(warehouse.files("parts", warehouse.overwrite(contract, table), F.lit(True)))
    changed = table.withColumn("price", F.when(F.col("sku") == "4", 2.0).otherwise(1.0))
    after = set(warehouse.files("parts", warehouse.merge(contract, changed, ["price"]), F.lit(True)))
    assert {file for file in before if "day=1" in file} <= after
    assert {file for file in before if "day=0" in file} - after


def test_files_are_of_one_version_and_partition(make_lake: Callable[..., Lake], spark: SparkSession) -> None:
    contract = Contract("parts", "", PRICES.columns, key=("sku",), partition_by=("since",))
    warehouse = make_lake().warehouse
    old = warehouse.overwrite(contract, rows(spark, ("a", 1.0, 1), ("b", 1.0, 2)))
    new = warehouse.overwrite(contract, rows(spark, ("c", 1.0, 1)))
    found = warehouse.files("parts", old, F.col("since") == 1)
    assert len(found) == 1
    assert spark.read.parquet(found[0]).collect()[0]["sku"] == "a"
    assert not set(found) & set(warehouse.files("parts", new, F.col("since") == 1))
    assert len(deltalake.DeltaTable(f"{warehouse.root}/parts").file_uris()) == 1


def test_deletion_vectors_are_refused(make_lake: Callable[..., Lake], spark: SparkSession) -> None:
    warehouse = make_lake().warehouse
    version = warehouse.overwrite(PRICES, rows(spark, ("a", 1.0, 1), ("b", 1.0, 2)))
    assert warehouse.files("prices", version, F.lit(True))
    spark.sql(f"ALTER TABLE {warehouse.identifier('prices')} SET TBLPROPERTIES (delta.enableDeletionVectors = true)")
    DeltaTable.forPath(spark, f"{warehouse.root}/prices").delete("sku = 'a'")
    with pytest.raises(QarmError, match="deletion vectors"):
        warehouse.files("prices", warehouse.version("prices"), F.lit(True))


def test_what_is_not_there_is_named(make_lake: Callable[..., Lake]) -> None:
    with pytest.raises(UserError, match=r"table prices does not exist in .*warehouse"):
        make_lake().warehouse.read("prices")
    run = Run(make_lake(), Job(name="test", steps=lambda _: None, reads=("prices",)), "run-1")
    assert run.find_with_columns(PRICES) is None
    with pytest.raises(UserError, match="no such catalog schema"):
        make_lake(location="spark_catalog.nowhere")


def test_two_writers_lose_nothing(
    spark: SparkSession, make_lake: Callable[..., Lake], caplog: pytest.LogCaptureFixture
) -> None:
    """Both merge into one table at once, the first time while neither of them finds it."""
    caplog.set_level("INFO", logger="qarm")
    location = make_lake().location
    sessions = (spark.newSession(), spark.newSession())
    few = ("spark.sql.shuffle.partitions", "spark.databricks.delta.snapshotPartitions")
    for session, name in itertools.product(sessions, few):
        session.conf.set(name, "2")
    writers = [Warehouse(session, location) for session in sessions]
    start = Barrier(len(writers))

    def write(number: int, turn: int) -> None:
        own = [(f"{number}-{turn}", 1.0, turn), ("shared", 1.0, 0)]
        start.wait()
        writers[number].merge(PRICES, rows(writers[number].spark, *own), ["price"])

    turns = 0
    with ThreadPoolExecutor(len(writers)) as pool:
        while turns < 3 or ("Retrying" not in caplog.text and turns < 20):
            list(pool.map(write, range(len(writers)), [turns] * len(writers)))
            turns += 1
    assert "Retrying" in caplog.text, "no write met another one"
    expected = sorted(["shared", *(f"{number}-{turn}" for number in range(2) for turn in range(turns))])
    assert sorted(row["sku"] for row in Warehouse(spark, location).read("prices").collect()) == expected


def test_a_table_that_another_process_makes_meanwhile_is_seen(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    warehouse = make_lake().warehouse
    path = tmp_path / "warehouse" / "things"
    warehouse.spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(  # type: ignore[union-attr]
        warehouse.spark._jsparkSession, str(path)
    )
    assert not warehouse.exists("things")
    assert warehouse.version("things") is None
    deltalake.write_deltalake(str(path), pa.table({"n": [1, 2]}))
    assert warehouse.exists("things")
    assert warehouse.version("things") == 0
    assert warehouse.read("things").count() == 2


def test_a_folder_with_other_files_is_no_place_for_a_table(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    warehouse, folder = make_lake().warehouse, tmp_path / "warehouse" / "prices"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="prices is not empty and holds no Delta table; move its files away"):
        warehouse.create(PRICES)


def test_a_table_that_another_writer_is_creating_is_waited_for(
    make_lake: Callable[..., Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log's folder is there and holds no commit yet, when this writer looks first."""
    warehouse, folder = make_lake().warehouse, tmp_path / "warehouse" / "prices"
    made = make_lake(location=str(tmp_path / "elsewhere")).warehouse
    made.create(PRICES)
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "_delta_log" / "a.tmp").write_text("")
    waited: list[float] = []

    def finish(seconds: float) -> None:
        waited.append(seconds)
        shutil.copytree(tmp_path / "elsewhere" / "prices", folder, dirs_exist_ok=True)

    monkeypatch.setattr(Warehouse.create.retry, "sleep", finish)  # type: ignore[attr-defined]
    warehouse.create(PRICES)
    assert len(waited) == 1
    assert warehouse.exists("prices")


@pytest.mark.parametrize("name", ["o'clock", "back`tick", 'quo"te', "semi; DROP TABLE x", "a b"])
def test_a_warehouse_may_have_any_name(spark: SparkSession, tmp_path: Path, name: str) -> None:
    warehouse = Warehouse(spark, str(tmp_path / name))
    warehouse.overwrite(PRICES, rows(spark, ("a", 1.0, 1)))
    warehouse.merge(PRICES, rows(spark, ("a", 2.0, 1), ("b", 3.0, 1)), compare=["price"])
    assert content(warehouse) == {("a", 2.0, 1), ("b", 3.0, 1)}
    known = history(warehouse, "prices", 0)
    assert len(known) == 3
    assert history(warehouse, "prices", 0) is known, "read once for a version"
    Warehouse(spark, warehouse.location).append(PRICES, rows(spark, ("c", 1.0, 1)))
    assert len(history(warehouse, "prices", 0)) == 4, "another writer's commit is seen"


def test_a_merge_within_a_partition_column_reads_only_what_it_touches(spark: SparkSession, tmp_path: Path) -> None:
    contract = Contract(
        name="days", comment="", key=("id",), partition_by=("day",),
        columns=(Column("id", "LONG", "", nullable=False), Column("day", "DATE", "", nullable=False),
                 Column("value", "LONG", "")),
    )  # fmt: skip
    warehouse = Warehouse(spark, str(tmp_path / "warehouse"))

    def of_days(*values: tuple[int, int, int]) -> DataFrame:
        return frame_of(spark, [(i, date(2025, 1, day), value) for i, day, value in values], contract.schema)

    warehouse.overwrite(contract, of_days((1, 1, 0), (2, 2, 0), (3, 3, 0)))
    for file in (tmp_path / "warehouse" / "days" / "day=2025-01-01").iterdir():
        file.unlink()  # a merge that reads this day fails
    version = warehouse.merge(contract, of_days((2, 2, 5), (4, 2, 6), (5, 9, 7)), compare=["value"], within="day")
    after = warehouse.read("days", version).where("day > '2025-01-01'").collect()
    assert {(row["id"], row["value"]) for row in after} == {(2, 5), (4, 6), (3, 0), (5, 7)}
    assert warehouse.merge(contract, of_days((2, 2, 5)), compare=["value"], within="day") == version


def test_a_table_of_an_earlier_qarm_gets_the_properties_that_it_lacks(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, str(tmp_path / "warehouse"))
    before = warehouse.overwrite(PRICES, rows(spark, ("a", 1.0, 1)))
    changed = replace(PRICES, properties={"delta.enableChangeDataFeed": "true"})
    assert warehouse.append(changed, rows(spark, ("b", 1.0, 1))) == before + 2
    assert warehouse.changes("prices", before + 2).count() == 1
