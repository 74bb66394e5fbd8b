from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import roc_auc_score

from models.llm.encoder import EncoderParameters
from udfs import embed
from udfs.arrays import column_matrix, list_column
from udfs.examples import users_of
from udfs.scoring import user_aucs


def test_matrices_survive_arrow() -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert np.array_equal(column_matrix(list_column(matrix)), matrix)
    assert np.array_equal(column_matrix(list_column(matrix).slice(1, 2)), matrix[1:3])
    assert np.array_equal(column_matrix(pa.chunked_array([list_column(matrix[:2]), list_column(matrix[2:])])), matrix)


@pytest.mark.parametrize("lists", [[[1.0], [1.0, 2.0]], [[1.0, 2.0], None], [[1.0], [1.0, 2.0, 3.0]]])
def test_ragged_lists_and_nulls_are_refused(lists: list) -> None:
    with pytest.raises(ValueError, match="differ in length or are null"):
        column_matrix(pa.array(lists, pa.list_(pa.float32())))


def test_users_and_their_parts_are_whole_across_batches() -> None:
    users, parts = ["a", "a", "b", "b", "b", "b", "d", "d"], [0, 0, 0, 0, 1, 1, 1, 1]
    table = pa.table({"user_id": users, "part": parts, "n": list(range(8))})
    found = [(u["user_id"][0].as_py(), u["n"].to_pylist()) for u in users_of(table.to_batches(max_chunksize=3))]
    assert found == [("a", [0, 1]), ("b", [2, 3]), ("b", [4, 5]), ("d", [6, 7])]


def test_user_aucs_name_slice_task_and_model() -> None:
    bucket = pa.table(
        {
            "slices": pa.array([[0]] * 4 + [[0, 1]], pa.list_(pa.int32())), "user_id": ["x", "y", "x", "y", "x"],
            "label_buy": pa.array([1, 1, 0, 1, 1], pa.float32()), "m_buy": [0.3, 0.5, 0.3, 0.1, 0.9],
        }
    )  # fmt: skip
    found = user_aucs(["test", "test/last", "none"], ["buy"], ["m"])(bucket).to_pylist()
    assert [(row["user_id"], row["impressions"]) for row in found if row["slice"] == "test/last"] == [("x", 1)]
    rows = {row["user_id"]: row for row in found if row["slice"] == "test"}
    assert rows["x"]["auc"] == pytest.approx(roc_auc_score([1, 0, 1], [0.3, 0.3, 0.9]))
    assert rows["y"]["auc"] is None
    assert (rows["x"]["impressions"], rows["x"]["slice"], rows["x"]["task"], rows["x"]["model"]) == (
        3,
        "test",
        "buy",
        "m",
    )


def test_the_encoder_is_loaded_once_a_worker(spark: SparkSession, tmp_path: Path, minilm: Path) -> None:
    folder = tmp_path / "encoder-for-this-test"
    shutil.copytree(minilm, folder)
    spark.sparkContext.addFile(str(folder), recursive=True)
    contents = spark.range(40).selectExpr(
        "string(id) content_hash", "concat('thing ', id) title", "string(null) category",
        "cast(null AS MAP<STRING,STRING>) attributes", "string(null) description",
    )  # fmt: skip
    run = embed.encode(folder.name, EncoderParameters(layer=-1, max_tokens=16, batch_tokens=256, dtype="float32"))

    def counted(batches):
        yield from run(batches)
        info = embed._encoder.cache_info()
        mark = pa.array([f"pid={os.getpid()} loads={info.misses}"])
        yield pa.RecordBatch.from_arrays([mark, list_column(np.zeros((1, 1), np.float32))], ["content_hash", "raw"])

    rows = contents.repartition(8).mapInArrow(counted, embed.RAW_SCHEMA).collect()
    marks = [row["content_hash"] for row in rows if row["content_hash"].startswith("pid=")]
    assert len(marks) == 8
    assert len(set(marks)) == len({mark.split()[0] for mark in marks}) <= 2, "no worker loaded between two of its tasks"
    vectors = {row["content_hash"]: row["raw"] for row in rows if not row["content_hash"].startswith("pid=")}
    assert len(vectors) == 40
    assert all(len(vector) == 384 for vector in vectors.values())
