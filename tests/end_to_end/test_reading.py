"""What readers of a night see: views, functions, the model in SQL, the cookbook, and DuckDB and Polars beside Spark."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout

import deltalake
import duckdb
import numpy as np
import polars as pl
import pytest
from pyspark.sql import SparkSession

from demo import cookbook
from jobs import sql
from jobs.reading.session import Reader
from lake.command import main
from lake.lake import Lake
from schemas.files import ROOT
from schemas.settings import load_settings
from tests import generate
from tests.end_to_end.world import World


@pytest.fixture(scope="module")
def reader(world: World, spark: SparkSession) -> Iterator[Reader]:
    made = Reader(Lake(spark, load_settings((), generate.SMALL), str(world.warehouse)))
    made.register_model()
    yield made
    for name in made.names:
        spark.catalog.dropTempView(name)


def rows(reader: Reader, statement: str) -> list[tuple]:
    return [tuple(row) for row in reader.lake.spark.sql(statement).collect()]


def test_embeddings_and_codes_in_sql_equal_the_tables_to_the_bit(reader: Reader) -> None:
    """Also where a text is embedded alone, in other company and in other partitions than the job's."""
    text = "item_text(i.title, i.category, i.attributes, i.description)"
    joined = "JOIN item_embeddings e ON e.item_id = i.item_id JOIN semantic_ids s ON s.item_id = i.item_id"
    asked = f"e.embedding, embed_text({text}) AS own, s.sid, semantic_id(e.embedding) AS code"
    for part, count in (("(SELECT /*+ REPARTITION(3) */ * FROM items)", 120), ("(SELECT * FROM items LIMIT 1)", 1)):
        found = reader.lake.spark.sql(f"SELECT {asked} FROM {part} i {joined}").toPandas()
        assert len(found) == count
        assert np.array_equal(np.stack(found["own"].to_list()), np.stack(found["embedding"].to_list()))
        assert (found["code"] == found["sid"]).all()
    of_text = f"semantic_id_of_text({text}), semantic_id_prefix({text}, 2)"
    [(sid, code, prefix)] = rows(reader, f"SELECT s.sid, {of_text} FROM (SELECT * FROM items LIMIT 1) i {joined}")
    assert (code, prefix) == (sid, sid.rpartition("-")[0])


def test_nulls_stay_nulls_in_the_functions_of_the_model(reader: Reader) -> None:
    nothing = "CAST(NULL AS STRING)"
    found = rows(
        reader,
        f"SELECT embed_text({nothing}), semantic_id_of_text({nothing}), semantic_id(CAST(NULL AS ARRAY<FLOAT>)),"
        f" semantic_id_prefix('wine', NULL), sid_distance({nothing}, '1-2-3'), sid_distance('no', '1-2-3')",
    )
    assert found == [(None,) * 6]


def test_a_prefix_finds_items_by_their_meaning(reader: Reader) -> None:
    text = "red wine bottle small, wine, maker 0"
    found = rows(reader, f"SELECT category FROM item_codes WHERE sid_prefix = semantic_id_prefix('{text}', 2)")
    assert found
    assert {category for (category,) in found} == {"wine"}


def test_siblings_neighbours_and_buckets_are_those_of_the_codes(reader: Reader, world: World) -> None:
    codes = world.read("semantic_ids").set_index("item_id")
    item = codes["sid_1"].value_counts().index[0]
    item = codes[codes["sid_1"] == item].index[0]
    mine = codes.loc[item]
    for levels in (1, 2, 3):
        same = codes[(codes[["sid_1", "sid_2", "sid_3"][:levels]] == mine[["sid_1", "sid_2", "sid_3"][:levels]]).all(1)]
        found = rows(reader, f"SELECT item_id, shared_levels FROM sid_siblings('{item}', {levels})")
        assert {name for name, _ in found} == {*same.index} - {item}
        assert all(shared >= levels for _, shared in found)
    near = rows(reader, f"SELECT item_id, similarity FROM sid_neighbours('{item}', 3) ORDER BY place")
    vectors = world.read("item_embeddings").set_index("item_id")["embedding"]
    assert [name for name, _ in near] == list(mine["neighbours"][:3])
    assert [s for _, s in near] == pytest.approx([float(vectors[item] @ vectors[name]) for name, _ in near], abs=1e-6)
    items = world.read("items").set_index("item_id")["category"]
    buckets = {
        prefix: (count, purity)
        for prefix, count, purity in rows(reader, "SELECT prefix, items, purity FROM bucket_occupancy(1)")
    }
    counts = codes["sid_1"].groupby(codes["sid_1"]).size()
    assert {int(prefix): count for prefix, (count, _) in buckets.items()} == counts.to_dict()
    of = items[codes[codes["sid_1"] == mine["sid_1"]].index].value_counts(normalize=True)
    assert buckets[str(mine["sid_1"])][1] == pytest.approx(of.iloc[0])


def test_the_story_of_a_user_is_what_the_examples_hold(reader: Reader, world: World) -> None:
    examples = world.examples()
    taken = examples[(examples["label_click"] == 1) & (examples["split"] == "test")].sort_values("event_time")
    example = taken.iloc[-1]
    found = rows(reader, f"SELECT event_time, item_id, place, score FROM user_story('{example.user_id}', 40, 8)")
    this = (example.item_id, example.event_time.timestamp())
    mine = sorted((place, score) for time, item, place, score in found if (item, time.timestamp()) == this)
    assert [place for place, _ in mine] == list(range(1, example.found_length + 1))
    np.testing.assert_allclose([score for _, score in mine], example.found_score[: example.found_length], atol=1e-5)


def test_a_score_is_explained_by_what_the_ranker_read(reader: Reader, world: World) -> None:
    predictions = world.read("predictions")
    test = predictions[predictions["split"] == "test"].merge(
        world.read("ranker_examples")[["example_id", "event_time", "taken"]]
    )
    last = test.sort_values(["event_time", "example_id"]).iloc[-1]
    found = rows(
        reader,
        f"SELECT score, name, value, usual_score, lift FROM score_explained('{last.user_id}', '{last.item_id}', 3)"
        " WHERE part = 'number' AND name = 'taken'",
    )
    bucket = np.floor(np.log2(1 + test["taken"]))
    usual = test["score_click"][bucket == np.floor(np.log2(1 + last.taken))].mean()
    assert found == [
        (last.score_click, "taken", last.taken, pytest.approx(usual), pytest.approx(usual - test["score_click"].mean()))
    ]


def test_every_question_of_the_cookbook_runs_and_has_the_columns_shown(reader: Reader) -> None:
    page = (ROOT / "docs" / "cookbook.md").read_text()
    shown = re.split(r"^## \d+\. ", page, flags=re.MULTILINE)[1:]
    questions = cookbook.read_questions(cookbook.ask_values(reader.lake.spark))
    assert len(questions) == len(shown) >= 25
    for question, text in zip(questions, shown, strict=True):
        assert text.startswith(f"{question.title}\n")
        header = next(line for line in text.splitlines() if line.startswith("| "))
        columns, _ = question.columns_and_rows(reader.lake.spark)
        assert header == f"| {' | '.join(columns)} |", question.title


def test_duckdb_and_polars_answer_as_spark_does(reader: Reader, world: World) -> None:
    told = json.loads((world.warehouse / "published.json").read_text())["tables"]
    tables = {
        name: deltalake.DeltaTable(table["path"].removeprefix("file:"), version=table["version"])
        for name, table in told.items()
    }
    query = """
        SELECT i.category, count(*) AS items, count(DISTINCT s.sid_1) AS first_codes
        FROM semantic_ids s JOIN items i ON i.item_id = s.item_id GROUP BY i.category ORDER BY i.category
    """
    expected = rows(reader, query)
    with duckdb.connect() as connection:
        for name in ("semantic_ids", "items"):
            connection.register(name, tables[name].to_pyarrow_dataset())
        assert connection.sql(query).fetchall() == expected
    codes, items = (pl.scan_pyarrow_dataset(tables[name].to_pyarrow_dataset()) for name in ("semantic_ids", "items"))
    grouped = codes.join(items, on="item_id").group_by("category")
    answer = grouped.agg(pl.len().alias("items"), pl.col("sid_1").n_unique().alias("first_codes")).sort("category")
    assert answer.collect().rows() == expected


def test_the_shell_ships_the_model_when_a_statement_calls_it(world: World, spark: SparkSession) -> None:
    spark.sql("DROP TEMPORARY FUNCTION IF EXISTS semantic_id_prefix")  # which the fixture reader registers
    out = io.StringIO()
    with redirect_stdout(out):
        statement = "SELECT semantic_id_prefix('wine', 1) IS NOT NULL AS coded"
        assert main(sql.COMMAND, ["--warehouse", str(world.warehouse), "-e", statement]) == 0
    assert "|true " in out.getvalue()
