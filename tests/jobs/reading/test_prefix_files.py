"""A query for a prefix reads only the files that can hold it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.reading.session import Reader
from lake.lake import Lake
from lake.views import full_names, publish_function, publish_view
from schemas.functions import FUNCTIONS
from schemas.tables import ITEMS, SEMANTIC_IDS
from schemas.views import VIEWS

FILES = 8


@pytest.fixture
def statistics(spark: SparkSession) -> Iterator[None]:
    """Delta's statistics of the files' columns, which the tests' session does not collect."""
    key = "spark.databricks.delta.stats.collect"
    before = spark.conf.get(key)
    spark.conf.set(key, "true")
    yield
    spark.conf.set(key, before or "true")


def coded(lake: Lake) -> Lake:
    """160 items with codes, in eight files by their first code, as tidy leaves them."""
    items = lake.spark.range(160).selectExpr(
        "concat('i', id) AS item_id", "concat('thing ', id) AS title", "'things' AS category",
        "CAST(NULL AS MAP<STRING,STRING>) AS attributes", "CAST(NULL AS STRING) AS description",
        "CAST(NULL AS BINARY) AS image", "string(id) AS content_hash", "TIMESTAMP'2025-01-01' AS first_seen",
        "TIMESTAMP'2025-01-01' AS updated_at",
    )  # fmt: skip
    codes = lake.spark.range(160).selectExpr(
        "concat('i', id) AS item_id", "CAST(id DIV 10 AS INT) AS sid_1", "CAST(id % 5 AS INT) AS sid_2",
        "0 AS sid_3", "concat_ws('-', id DIV 10, id % 5, 0) AS sid", "CAST(array() AS ARRAY<STRING>) AS neighbours",
        "CAST(0 AS FLOAT) AS reconstruction_error", "'e' AS encoder_version", "'c' AS codebook_version",
        "TIMESTAMP'2025-01-01' AS assigned_at", "CAST(array() AS ARRAY<INT>) AS sid_more", "string(id) AS content_hash",
    )  # fmt: skip
    lake.warehouse.overwrite(ITEMS, items)
    lake.warehouse.overwrite(SEMANTIC_IDS, codes.repartitionByRange(FILES, "sid_1"))
    texts = full_names(lake.warehouse, tables=["items", "semantic_ids"], views=[], versions={})
    publish_view(lake.warehouse, "items_coded", VIEWS["items_coded"].query.format_map(texts))
    function = FUNCTIONS["items_with_prefix"]
    publish_function(lake.warehouse, "items_with_prefix", function.definition(function.query.format_map(texts)))
    return lake


def files_read(rows: DataFrame) -> int:
    """How many files of semantic_ids Spark reads for a query that has run."""
    rows.collect()
    leaves: Any = rows._jdf.queryExecution().executedPlan().collectLeaves()
    scans = [leaves.apply(place) for place in range(leaves.size())]
    return next(scan.metrics().apply("numFiles").value() for scan in scans if "sid_" in scan.output().toString())


@pytest.mark.usefixtures("statistics")
def test_conditions_on_codes_and_prefixes_read_one_file_of_eight(make_lake: Callable[..., Lake]) -> None:
    spark = Reader(coded(make_lake())).lake.spark
    assert files_read(spark.sql("SELECT item_id FROM items_coded WHERE sid_2 >= 0")) == FILES
    one = spark.sql("SELECT item_id FROM items_coded WHERE sid_1 = 7 AND sid_2 = 3")
    assert (files_read(one), {row[0] for row in one.collect()}) == (1, {"i73", "i78"})
    all_of_7 = {f"i{n}" for n in range(70, 80)}
    for prefix, files, items in (("7", 1, all_of_7), ("7-3", 1, {"i73", "i78"}), ("7-3-1", 0, set())):
        found = spark.sql(f"SELECT item_id FROM items_with_prefix('{prefix}')")
        assert (files_read(found), {row[0] for row in found.collect()}) == (files, items), prefix
    for statement in ("DECLARE OR REPLACE wanted STRING", "SET VAR wanted = '7-3'"):
        spark.sql(statement)
    named = spark.sql("SELECT item_id FROM items_with_prefix(wanted)")
    assert (files_read(named), len(named.collect())) == (1, 2)
    spark.sql("DROP TEMPORARY VARIABLE wanted")
