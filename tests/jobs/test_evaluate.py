from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.evaluation.measures import USERS_PER_TASK, aucs, intervals_of, parts_of_bags
from jobs.evaluation.scores import as_predictions, score_of
from jobs.evaluation.slices import Sliced, after_tasks, breakdowns, sliced
from lake.frames import frame_of
from models.ranker.intervals import BAGS
from models.ranker.training.metrics import auc, auc_per_group


def test_a_task_that_follows_is_measured_given_the_other(spark: SparkSession) -> None:
    """Order's CTCVR ranks both clicked examples one way, its CVR the other."""
    rows = [
        ("test", False, 1.0, 1.0, 0.2, 0.15, 0.0, 0.0), ("test", False, 1.0, 0.0, 0.9, 0.3, 1.0, 1.0),
        ("test", True, 0.0, 0.0, 0.1, 0.01, 2.0, 2.0), ("valid", True, 1.0, 1.0, 0.5, 0.5, 3.0, 3.0),
    ]  # fmt: skip
    columns = ["split", "cold", "label_click", "label_order", "m_click", "m_order", "popular_click", "popular_order"]
    scored = spark.createDataFrame(rows, columns)
    after = after_tasks(scored.where("split = 'test'"), {"order": "click"}, ["m"])
    examples = sliced(scored, after)
    counts = examples.rows.select(F.explode("slices").alias("slice")).groupBy("slice").count().collect()
    assert {examples.names[row["slice"]]: row["count"] for row in counts} == {
        "valid": 1, "test": 3, "test/cold_items": 1, "test/known_items": 2, "test/after_click": 2,
    }  # fmt: skip
    assert [row["m_order"] for row in after["test/after_click"].orderBy("m_click").collect()] == pytest.approx(
        [0.75, 1 / 3]
    )
    found = aucs(examples, ["click", "order"], ["m", "popular"], 10)
    assert found["test/known_items", "order", "m"] == 0
    assert found["test/after_click", "order", "m"] == 1
    assert found["test/after_click", "order", "popular"] == 0
    assert ("test/after_click", "click", "m") not in found


def test_the_auc_of_every_slice_and_model_is_exact(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.evaluation.measures.EXAMPLES_PER_TASK", 500)
    draw = np.random.default_rng(0)
    n = 4_000
    rows = pd.DataFrame({"label_click": draw.integers(0, 2, n), "few_click": draw.integers(0, 9, n) / 9})
    rows["fine_click"] = (draw.random(n) + rows["label_click"] / 3).astype(np.float32)
    rows["same_click"] = np.where(np.arange(n) % 2, 0.0, -0.0)
    every = spark.createDataFrame(rows).withColumn("none_click", F.lit(float("nan")))
    models = ["few", "fine", "same", "none"]
    places = F.when(F.col("few_click") < 0.5, F.array(F.lit(0), F.lit(1))).otherwise(F.array(F.lit(0)))
    examples = Sliced(("all", "few", "empty"), every.withColumn("slices", places))
    found = aucs(examples, ["click"], models, n)
    for model in ("same", "none"):
        assert found["all", "click", model] == 0.5
    for name, part in (("all", rows), ("few", rows[rows["few_click"] < 0.5])):
        for model in ("few", "fine"):
            expected = auc(part["label_click"].to_numpy(), part[f"{model}_click"].to_numpy())
            assert found[name, "click", model] == pytest.approx(expected, abs=1e-12)


def test_slices_by_history_age_and_category_are_measured_with_intervals(spark: SparkSession) -> None:
    generator = np.random.default_rng(0)
    users, each = 120, 20
    n = users * each
    labels = generator.integers(0, 2, n)
    rows = pd.DataFrame(
        {
            "user_id": np.repeat([f"u{i}" for i in range(users)], each),
            "label_click": labels.astype(np.float32),
            "qarm_click": (0.4 * labels + generator.random(n)).astype(np.float32),
            "cold": np.arange(n) % 4 == 0,
            "history_length": np.repeat(np.arange(users), each) % 60,
            "event_time": pd.Timestamp("2025-03-10"),
            "first_event": pd.to_datetime(["2025-03-01", "2025-03-11", "2025-03-01", None] * (n // 4)),
            "category": ["tea", "a/b <i>", None, "rice"] * (n // 4),
        }
    )
    test = spark.createDataFrame(rows)
    found = intervals_of(test, breakdowns(test), ["click"], users).toPandas().set_index(["slice", "metric"])
    assert set(found.index.get_level_values(0)) == {
        "test", "test/cold_items", "test/known_items", "test/history_length/0-9", "test/history_length/10-49",
        "test/history_length/50-199", "test/item_age_days/0-6", "test/item_age_days/7-27", "test/category/tea",
        "test/category/a/b <i>", "test/category/no category", "test/category/rice",
    }  # fmt: skip
    for slice, part in {
        "test": rows,
        "test/history_length/10-49": rows[rows["history_length"].between(10, 49)],
        "test/item_age_days/0-6": rows[1::2],
        "test/category/no category": rows[rows["category"].isna()],
    }.items():
        labels, scores = part["label_click"].to_numpy(), part["qarm_click"].to_numpy()
        one = found.loc[slice, "auc"]
        assert one["value"] == pytest.approx(auc(labels, scores), abs=2e-3)
        assert one["low"] < one["value"] < one["high"]
        assert one["examples"] == len(part)
        by_user = auc_per_group(part["user_id"].astype("category").cat.codes.to_numpy(np.int64), labels, scores)
        assert found.loc[slice, "uauc"]["value"] == pytest.approx(np.nanmean(by_user.auc))


@pytest.mark.parametrize(
    ("users", "expected"),
    [(0, (BAGS, 8)), (300_000, (BAGS, 8)), (3_000_000, (BAGS, 60)), (5_000_000, (BAGS, BAGS)),
     (5_000_001, (2 * BAGS, 2 * BAGS))],
)  # fmt: skip
def test_however_many_users_there_are_a_task_has_few(users: int, expected: tuple[int, int]) -> None:
    assert parts_of_bags(users, at_once=8) == expected
    assert users <= USERS_PER_TASK * expected[1]


def test_scores_are_read_back_from_predictions(spark: SparkSession) -> None:
    """Tasks and models may have underscores in their names."""
    scored = frame_of(
        spark,
        [("e", 0.25, 0.5)],
        "example_id STRING, qarm_add_to_cart FLOAT, recent_din_add_to_cart FLOAT",
    )
    kept = as_predictions(scored, ["qarm", "recent_din"], ["add_to_cart"])
    again = kept.select(*(score_of(model, "add_to_cart") for model in ("qarm", "recent_din")))
    assert again.collect() == [(0.25, 0.5)]
    assert again.columns == ["qarm_add_to_cart", "recent_din_add_to_cart"]
