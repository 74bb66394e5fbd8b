"""What functions say of codes that are fewer than asked for, of unknown categories, and of texts that are no codes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from schemas.functions import FUNCTIONS

NAMES = ("bucket_occupancy", "cosine", "items_with_prefix", "sid_changes")
ITEMS = [("a", "1-2-0", "wine"), ("b", "1-2-0", None), ("c", "1-3", "food"), ("d", "1-3", "wine"), ("e", "2-1-1", None)]


@pytest.fixture
def functions(spark: SparkSession) -> Iterator[None]:
    """The functions over tables that are temporary views."""
    rows = [(item, f"thing {item}", sid, kind, item, *map(int, f"{sid}-9".split("-")[:3])) for item, sid, kind in ITEMS]
    columns = "item_id STRING, title STRING, sid STRING, category STRING, content_hash STRING, sid_1 INT, sid_2 INT"
    both = spark.createDataFrame(rows, f"{columns}, sid_3 INT")
    changes = spark.sql(
        "SELECT 'a' AS item_id, 'new item' AS reason, '' AS old_sid, '1' AS new_sid, now() AS changed_at"
    )
    tables = {"items": both, "semantic_ids": both.drop("title", "category"), "sid_changes": changes}
    for name, frame in tables.items():
        frame.createOrReplaceTempView(f"small_{name}")
    for name in NAMES:
        query = FUNCTIONS[name].query.format_map({table: f"small_{table}" for table in tables})
        spark.sql(f"CREATE OR REPLACE TEMPORARY FUNCTION {name} {FUNCTIONS[name].definition(query)}")
    yield
    for name in NAMES:
        spark.sql(f"DROP TEMPORARY FUNCTION {name}")
    for name in tables:
        spark.catalog.dropTempView(f"small_{name}")


@pytest.mark.usefixtures("functions")
def test_a_bucket_holds_items_with_so_many_codes_and_an_unknown_category_is_none(spark: SparkSession) -> None:
    def buckets(level: int) -> list[tuple]:
        columns = "prefix, items, contents, categories, top_category, round(purity, 2), example_title"
        return [
            tuple(row) for row in spark.sql(f"SELECT {columns} FROM bucket_occupancy({level})").sort("prefix").collect()
        ]

    assert buckets(1) == [("1", 4, 4, 2, "wine", 0.5, "thing a"), ("2", 1, 1, 0, None, None, "thing e")]
    assert buckets(3) == [("1-2-0", 2, 2, 1, "wine", 0.5, "thing a"), ("2-1-1", 1, 1, 0, None, None, "thing e")]


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(
    ("prefix", "items"),
    [("1-2", "ab"), ("1-3", "cd"), ("2-1-1", "e"), ("", ""), ("1-", ""), ("x", ""), ("1-x", ""), ("1-2-0-", "")],
)
def test_a_text_that_is_no_prefix_finds_no_items_and_is_no_error(spark: SparkSession, prefix: str, items: str) -> None:
    found = spark.sql(f"SELECT item_id FROM items_with_prefix('{prefix}')").collect()
    assert sorted(row[0] for row in found) == [*items]


@pytest.mark.usefixtures("functions")
def test_parameters_of_values_and_of_times_mean_the_arguments(spark: SparkSession) -> None:
    assert spark.sql("SELECT cosine(array(0.6F, 0.8F), array(1F, 0F))").collect()[0][0] == pytest.approx(0.6)
    asked = "SELECT item_id FROM sid_changes(TIMESTAMP'{}')"
    assert [len(spark.sql(asked.format(since)).collect()) for since in ("2020-01-01", "9000-01-01")] == [1, 0]
