from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from jobs.evaluation.measures import auc_half_widths, auc_of, slices_of
from jobs.evaluation.scores import as_predictions, score_of
from lake.frames import frame_of
from models.ranker.training.metrics import auc


def test_a_task_that_follows_is_measured_given_the_other(spark: SparkSession) -> None:
    """Order's CTCVR ranks both clicked examples one way, its CVR the other."""
    rows = [
        ("test", False, 1.0, 1.0, 0.2, 0.15, 0.0, 0.0), ("test", False, 1.0, 0.0, 0.9, 0.3, 1.0, 1.0),
        ("test", True, 0.0, 0.0, 0.1, 0.01, 2.0, 2.0), ("valid", True, 1.0, 1.0, 0.5, 0.5, 3.0, 3.0),
    ]  # fmt: skip
    columns = ["split", "cold", "label_click", "label_order", "m_click", "m_order", "popular_click", "popular_order"]
    slices = slices_of(spark.createDataFrame(rows, columns), {"order": "click"}, ["m"])
    assert {name: part.count() for name, part in slices.items()} == {
        "valid": 1, "test": 3, "test/cold_items": 1, "test/known_items": 2, "test/after_click": 2,
    }  # fmt: skip
    assert [row["m_order"] for row in slices["test/after_click"].orderBy("m_click").collect()] == pytest.approx(
        [0.75, 1 / 3]
    )
    assert auc_of(slices["test/known_items"], "order", "m") == 0
    assert auc_of(slices["test/after_click"], "order", "m") == 1
    assert auc_of(slices["test/after_click"], "order", "popular") == 0
    assert auc_of(slices["test/after_click"], "click", "m") is None


def test_the_interval_of_the_auc_is_one_over_users(spark: SparkSession) -> None:
    """Users are alike within and differ among each other; over many draws of users the interval holds the true AUC."""
    generator = np.random.default_rng(0)
    users, each = 200, 10
    labels = np.tile([1, 0], users * each // 2)
    shifts = np.repeat(generator.normal(size=users), each)
    scores = 0.5 * labels + shifts + 0.1 * generator.normal(size=users * each)
    rows = pd.DataFrame(
        {"user_id": [f"u{i // each}" for i in range(users * each)], "label_click": labels, "m_click": scores}
    )
    half = auc_half_widths(spark.createDataFrame(rows), ["click"], "m")["click"]
    draws = [
        auc(
            labels,
            0.5 * labels + np.repeat(generator.normal(size=users), each) + 0.1 * generator.normal(size=users * each),
        )
        for _ in range(300)
    ]
    assert 1.96 * np.std(draws) == pytest.approx(half, rel=0.5)
    one_class = rows.assign(label_click=1)
    assert auc_half_widths(spark.createDataFrame(one_class), ["click"], "m") == {}


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
