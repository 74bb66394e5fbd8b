from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from jobs.evaluate import auc_of, slices_of


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
