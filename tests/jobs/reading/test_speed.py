"""The model in SQL is about as fast as the stage of embed_items."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from models.llm.encoder import EncoderParameters
from models.llm.projection import Projection
from tests.generate import catalogue
from udfs.embed import EMBEDDING_SCHEMA, RAW_SCHEMA, encode, project
from udfs.text_model import TextModel, embed_text

pytestmark = pytest.mark.extras
COPIES = 20
LEAST = 0.8


def seconds(rows: DataFrame) -> float:
    start = time.monotonic()
    rows.write.format("noop").mode("overwrite").save()
    return time.monotonic() - start


def test_the_function_has_most_of_the_throughput_of_the_job(spark: SparkSession, minilm: Path) -> None:
    titles = [f"{title} {copy}" for title in catalogue()["title"] for copy in range(COPIES)]
    contents = spark.createDataFrame([(title,) for title in titles], "title STRING").selectExpr(
        "title AS content_hash", "title", "CAST(NULL AS STRING) AS category",
        "CAST(NULL AS MAP<STRING,STRING>) AS attributes", "CAST(NULL AS STRING) AS description",
    )  # fmt: skip
    contents = contents.repartition(2, "content_hash").persist()
    assert contents.count() == len(titles)
    parameters = EncoderParameters(layer=-1, max_tokens=32, batch_tokens=2048, dtype="float32")
    projection = Projection(np.zeros(384, np.float32), np.eye(64, 384, dtype=np.float32))
    model = TextModel(str(minilm), False, parameters, projection, "")
    by_job = contents.mapInArrow(encode(str(minilm), parameters), RAW_SCHEMA).mapInArrow(
        project(projection), EMBEDDING_SCHEMA
    )
    by_sql = contents.select("content_hash", embed_text(model)("title").alias("embedding"))
    for rows in (by_job, by_sql):
        seconds(rows.limit(1))
    taken = [(seconds(by_job), seconds(by_sql)) for _ in range(3)]
    job, sql = (min(times) for times in zip(*taken, strict=True))
    print(f"embed_items: {len(titles) / job:.0f} texts/s, embed_text: {len(titles) / sql:.0f} texts/s, {job / sql:.2f}")
    assert job / sql >= LEAST
    contents.unpersist()
