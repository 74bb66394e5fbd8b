"""What the report asks of the tables, on a few rows."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.page import codes
from jobs.page.codes import changes_by_night, code_use, contents_of, crowded_prefixes, moved_contents
from jobs.page.history import change_of, history_of, value_in
from jobs.page.item_map import sample_of
from jobs.page.nights import last_runs
from jobs.page.pairs import pair_examples
from jobs.page.quality import label_of
from jobs.page.words import first_codes
from lake.frames import collect_utc, frame_of


@pytest.fixture(scope="module")
def contents(spark: SparkSession) -> DataFrame:
    rows = [(f"t{i}", f"h{i}", 1, "Green tea, 20 bags", "drinks") for i in range(8)]
    rows += [(f"r{i}", f"k{i}", 2, "Brown rice, 20 bags", "grain" if i else None) for i in range(4)]
    rows += [("t0b", "h0", 1, "Green tea, 20 bags", "drinks")]
    assigned = frame_of(
        spark,
        [(item, of, f"{code}-{i % 3}-0", code, i % 3, 0) for i, (item, of, code, *_) in enumerate(rows)],
        "item_id STRING, content_hash STRING, sid STRING, sid_1 INT, sid_2 INT, sid_3 INT",
    )
    items = frame_of(
        spark,
        [(item, title, category) for item, _, _, title, category in rows],
        "item_id STRING, title STRING, category STRING",
    )
    return contents_of(assigned, items).persist()


def test_words_that_tell_a_code_from_the_others(contents: DataFrame) -> None:
    told = first_codes(contents)
    assert [*told] == [1, 2]
    assert told[1] == {"code": 1, "contents": 8, "items": 9, "words": "green, tea", "categories": "drinks 100%"}
    assert told[2]["words"] == "brown, rice"
    assert told[2]["categories"] == "grain 75%, no category 25%"


def test_a_prefix_shows_different_titles(contents: DataFrame) -> None:
    rows = crowded_prefixes(contents)
    assert sum(row["contents"] for row in rows) == 12
    assert all(len(row["titles"]) == 1 for row in rows), "a title is shown once"


def test_the_same_contents_are_on_the_map_however_many_there_are(contents: DataFrame, spark: SparkSession) -> None:
    embeddings = frame_of(
        spark,
        [(row["item_id"], [1.0, 0.0]) for row in contents.collect()],
        "item_id STRING, search_embedding ARRAY<FLOAT>",
    )
    few = {row["content_hash"] for row in sample_of(contents, embeddings, 4).collect()}
    more = [row["content_hash"] for row in sample_of(contents, embeddings, 7).collect()]
    assert len(few) == 4
    assert few < {*more}
    assert more == sorted(more)


def test_ten_pairs_of_one_soup_are_one_example(spark: SparkSession) -> None:
    items = frame_of(
        spark,
        [(f"soup{i}", "tomato soup", f"tomato soup, {i} oz") for i in range(5)]
        + [(f"b{i}", f"bread {i}", f"bread {i}, rye") for i in range(5)],
        "item_id STRING, title STRING, text STRING",
    )
    pairs = [("item2item", f"soup{i}", f"b{i}", 0.5, 3, "keep", i / 10) for i in range(5)]
    pairs += [("item2item", "b1", "b2", 0.5, 3, "keep", 0.05), ("item2item", "b2", "b1", 0.5, 3, "keep", 0.04)]
    pairs += [("user2item", "b3", "b0", 0.5, 3, "reject", 0.01)]
    frame = frame_of(
        spark,
        pairs,
        "source STRING, trigger_item_id STRING, target_item_id STRING, score DOUBLE, support LONG, verdict STRING,"
        " judge_score DOUBLE",
    )
    kept = pair_examples(frame, items, "keep", best_first=True)
    assert [(row["trigger"], row["target"]) for row in kept] == [
        ("tomato soup, 4 oz", "bread 4, rye"),
        ("bread 1, rye", "bread 2, rye"),
    ]
    assert len(pair_examples(frame, items, "reject", best_first=False)) == 1


def test_items_that_moved_are_told_by_content(spark: SparkSession) -> None:
    items = frame_of(
        spark, [(f"i{n}", "red tea", "c") for n in range(3)], "item_id STRING, title STRING, content_hash STRING"
    )
    changes = frame_of(
        spark,
        [(f"i{n}", "changed text", "1-1-1", "2-2-2", 4) for n in range(3)] + [("i0", "new item", None, "1-1-1", 3)],
        "item_id STRING, reason STRING, old_sid STRING, new_sid STRING, table_version LONG",
    )
    rows, number = moved_contents(changes, items)
    assert number == 1
    assert [(row["title"], row["items"], row["new_sid"]) for row in rows] == [("red tea", 3, "2-2-2")]


def test_more_is_counted_than_is_shown(
    contents: DataFrame, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "MOST_CODES", 2)
    monkeypatch.setattr(codes, "MOVES_SHOWN", 2)
    figure = code_use(contents, [4, 8])
    assert figure.rows == [["sid_1", 4, 2, 0.5, 8], ["sid_2", 8, 3, 0.375, 4]]
    assert "sid_2: 3 of 8 codes used" in figure.alt
    assert figure.data["series"][1]["points"] == [[1, 4], [2, 4]]
    items = frame_of(
        spark, [(f"i{n}", "tea", f"c{n}") for n in range(3)], "item_id STRING, title STRING, content_hash STRING"
    )
    changes = frame_of(
        spark,
        [(f"i{n}", "changed text", "1-1-1", "2-2-2", 4) for n in range(3)],
        "item_id STRING, reason STRING, old_sid STRING, new_sid STRING, table_version LONG",
    )
    rows, number = moved_contents(changes, items)
    assert (len(rows), number) == (2, 3)


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A driver whose host is in another time zone than UTC."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_times_are_utc_wherever_the_driver_is(spark: SparkSession, in_new_york: None) -> None:
    at = "timestamp_seconds(1741573800)"  # 2025-03-10 02:30, UTC
    metrics = spark.sql(f"SELECT 'n1' run_id, 'click.auc' name, 'test' slice, 0.5D value, {at} created_at")
    assert label_of(history_of(metrics, 1)["click.auc", "test"][0]) == "10 Mar 02:30"
    runs = spark.sql(f"SELECT 'done' status, 'ingest' job, {at} started_at, {at} ended_at")
    assert f"{last_runs(runs)['ingest'][0].ended_at:%d %H:%M %Z}" == "10 02:30 UTC"
    changes = spark.sql(f"SELECT 3L table_version, {at} changed_at, 'new item' reason")
    row = changes_by_night(changes)[0]
    assert f"{row.changed_at:%d %H:%M}" == "10 02:30"
    assert row[2:] == (1, 0, 0)
    missing = spark.sql("SELECT CAST(NULL AS TIMESTAMP) at")
    assert collect_utc(missing) == [(None,)]


def test_the_last_nights_of_a_metric(spark: SparkSession) -> None:
    rows = [(f"night{n}", "click.auc", "test", n / 10, n) for n in range(1, 6)]
    metrics = frame_of(spark, rows, "run_id STRING, name STRING, slice STRING, value DOUBLE, at LONG").selectExpr(
        "run_id", "name", "slice", "value", "timestamp_seconds(at) AS created_at"
    )
    history = history_of(metrics, 3)
    assert [point.run_id for point in history["click.auc", "test"]] == ["night5", "night4", "night3"]
    assert change_of(history, "click.auc", "test") == pytest.approx(0.1)
    assert value_in(history, ("click.auc", "test"), "night1") is None
