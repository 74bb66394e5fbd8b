from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, BinaryType, MapType, StructType

from jobs.build_examples import example_schema, parameters_of
from jobs.examples.events import in_parts, shape_events
from lake.frames import frame_of
from schemas.settings import load_settings
from tests.search_indexes import random_index, write
from udfs.examples import SplitPlan, build_examples

ITEMS = 30


@pytest.fixture
def events(spark: SparkSession) -> DataFrame:
    """Events of one heavy user, of 90, and of two others, as the job shapes them."""
    generator = np.random.default_rng(0)
    start, action = datetime(2024, 1, 1), load_settings().ranking.positive_actions[0]
    sizes = {"heavy": 90, "light": 12, "one": 1}
    rows = [
        (user, f"item-{generator.integers(ITEMS)}", start + timedelta(hours=int(hour)), action)
        for user, size in sizes.items()
        for hour in np.sort(generator.integers(0, 2000, size))
    ]
    interactions = frame_of(spark, rows, "user_id string, item_id string, event_time timestamp, action string")
    items = frame_of(spark, [(f"item-{i}", i) for i in range(ITEMS)], "item_id string, item_row long")
    return shape_events(interactions.distinct(), items, load_settings().ranking)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(replace(random_index(ITEMS), text_embeddings=np.zeros((0, 8), np.float32)), tmp_path)
    return tmp_path


def test_no_array_travels_with_an_event(events: DataFrame) -> None:
    nested = (ArrayType, MapType, StructType, BinaryType)
    assert not [field.name for field in in_parts(events, 40).schema if isinstance(field.dataType, nested)]


def test_a_heavy_user_is_dealt_to_parts_with_all_events_each(events: DataFrame) -> None:
    whole = events.groupBy("user_id").count().toPandas().set_index("user_id")["count"]
    parts = in_parts(events, 40).groupBy("user_id", "part", "parts").count().toPandas()
    assert sorted(zip(parts["user_id"], parts["part"], parts["parts"], parts["count"], strict=True)) == [
        *(("heavy", part, 3, whole["heavy"]) for part in range(3)), ("light", 0, 1, whole["light"]), ("one", 0, 1, 1)
    ]  # fmt: skip


def test_examples_do_not_depend_on_the_parts(events: DataFrame, folder: Path) -> None:
    settings = load_settings().examples
    plan = SplitPlan(train_from=None, valid_from=10**18, test_from=10**18, shares=(1.0, 1.0, 1.0))
    make = build_examples(str(folder), parameters_of(settings, has_impressions=False), plan, ["click"])

    def made(most: int) -> pd.DataFrame:
        sorted_parts = (
            in_parts(events, most)
            .repartition(4, "user_id", "part")
            .sortWithinPartitions("user_id", "part", "time", "item_row")
        )
        rows = sorted_parts.mapInArrow(make, example_schema(["click"])).toPandas()
        return rows.sort_values(["user_id", "key", "item_row"], ignore_index=True)

    whole, parts = made(1000), made(20)
    assert len(whole) > 100
    assert len(parts) == len(whole)
    for name in whole:
        assert np.array_equal(np.stack(whole[name].to_list()), np.stack(parts[name].to_list())), name
