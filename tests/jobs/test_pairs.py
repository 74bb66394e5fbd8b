from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from qarm.jobs.judge_pairs import pairs_to_judge, with_verdicts
from qarm.jobs.mine_pairs import bucket_count, by_bucket, keep_verdicts, sampled_users, user_items
from qarm.models.pairs.swing import SwingParameters
from qarm.schemas.settings import MineSettings, load_settings
from qarm.udfs.swing import SWING_SCHEMA, swing_bucket
from tests.models.test_swing import brute_force

VERDICT = ("verdict", "judge_score", "judge")


def mine_settings(**changes: float) -> MineSettings:
    return load_settings((), [f"mine.{k}={v}" for k, v in {"min_user_items": 2, **changes}.items()]).mine


@pytest.fixture(scope="module")
def positives(spark: SparkSession) -> DataFrame:
    generator = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{i:02d}", int(t)) for u in range(30) for t, i in enumerate(generator.choice(25, 10))]
    return spark.createDataFrame(rows, "user_id STRING, item_id STRING, seconds LONG").select(
        "user_id", "item_id", F.timestamp_seconds("seconds").alias("event_time")
    )


def mine(positives: DataFrame, settings: MineSettings, buckets: int) -> dict[tuple[str, str], tuple[float, int]]:
    users = user_items(positives, settings)
    rows = by_bucket(users, sampled_users(users, settings), buckets)
    pairs = rows.groupBy("bucket").applyInArrow(swing_bucket(SwingParameters(top_k=settings.top_k)), SWING_SCHEMA)
    return {(r["trigger_item_id"], r["target_item_id"]): (r["score"], r["support"]) for r in pairs.collect()}


def test_spark_gives_the_formulas_scores(positives: DataFrame) -> None:
    baskets: dict[str, set[int]] = {}
    for row in positives.collect():
        baskets.setdefault(row["user_id"], set()).add(int(row["item_id"][1:]))
    expected = brute_force(list(baskets.values()), 25, SwingParameters())
    found = mine(positives, mine_settings(), buckets=3)
    assert {(int(a[1:]), int(b[1:])) for a, b in found} == set(expected)
    assert all(found[f"i{a:02d}", f"i{b:02d}"][0] == pytest.approx(s, rel=1e-9) for (a, b), s in expected.items())


def test_pairs_are_bit_identical_whatever_the_buckets_and_partitions(positives: DataFrame) -> None:
    settings = mine_settings(top_k=4, max_item_users=6, max_user_items=5)
    one = mine(positives, settings, buckets=1)
    assert one == mine(positives.repartition(7), settings, buckets=11)
    assert max(sum(a == t for a, _ in one) for t in {a for a, _ in one}) == 4


def test_caps_keep_the_latest_items_and_a_sample_of_users(positives: DataFrame) -> None:
    settings = mine_settings(max_user_items=3, max_item_users=2)
    users = user_items(positives, settings)
    kept = {row["user_id"]: set(row["items"]) for row in users.collect()}
    log = positives.toPandas()
    for user, items in kept.items():
        last = log[log["user_id"] == user].groupby("item_id")["event_time"].max().sort_values()
        assert items == set(last.index[-3:])
    counts = sampled_users(users, settings).groupBy("item_id").count().collect()
    assert max(row["count"] for row in counts) == 2


def test_light_users_are_left_out(positives: DataFrame) -> None:
    assert user_items(positives, mine_settings(min_user_items=11)).count() == 0


def test_more_buckets_where_a_task_may_hold_less(positives: DataFrame) -> None:
    users = user_items(positives, mine_settings())
    few, many = (bucket_count(users, mine_settings(rows_per_task=rows)) for rows in (1_000_000, 50))
    assert few < many


def pairs(spark: SparkSession, rows: list[tuple[str, str, float]]) -> DataFrame:
    return spark.createDataFrame(
        [("item2item", a, b, s, 3, None, None, None, "run") for a, b, s in rows],
        "source STRING, trigger_item_id STRING, target_item_id STRING, score DOUBLE, support LONG, verdict STRING,"
        " judge_score DOUBLE, judge STRING, run_id STRING",
    )


def test_every_triggers_best_pair_is_judged_before_any_second(spark: SparkSession) -> None:
    mined = pairs(spark, [("a", "x", 9.0), ("a", "y", 8.0), ("a", "z", 7.0), ("b", "x", 1.0), ("c", "x", 2.0)])
    chosen = [(r["trigger_item_id"], r["target_item_id"]) for r in pairs_to_judge(mined, "judge", 4).collect()]
    assert set(chosen) == {("a", "x"), ("c", "x"), ("b", "x"), ("a", "y")}


def test_a_judged_pair_is_not_judged_again(spark: SparkSession) -> None:
    mined = pairs(spark, [("a", "x", 9.0), ("b", "y", 8.0)]).withColumn(
        "judge", F.when(F.col("trigger_item_id") == "a", "judge").otherwise("another judge")
    )
    assert [r["trigger_item_id"] for r in pairs_to_judge(mined, "judge", 5).collect()] == ["b"]


def test_the_lowest_share_is_rejected(spark: SparkSession) -> None:
    mined = pairs(spark, [(f"t{i}", "x", 1.0) for i in range(20)])
    scores = mined.select(
        "source",
        "trigger_item_id",
        "target_item_id",
        F.substring("trigger_item_id", 2, 9).cast("double").alias("judge_score"),
    )
    verdicts = {r["trigger_item_id"]: r["verdict"] for r in with_verdicts(mined, scores, 0.1, "judge").collect()}
    assert {trigger for trigger, verdict in verdicts.items() if verdict == "reject"} == {"t0", "t1"}
    assert len(verdicts) == 20


def test_verdicts_outlive_the_night_and_follow_a_new_share(spark: SparkSession) -> None:
    first = keep_verdicts(pairs(spark, [(f"t{i}", "x", 1.0) for i in range(10)]).drop(*VERDICT), None)
    score = F.substring("trigger_item_id", 2, 9).cast("double").alias("judge_score")
    key = ("source", "trigger_item_id", "target_item_id")
    judged = with_verdicts(first, first.select(*key, score), 0.1, "judge")
    mined = pairs(spark, [(f"t{i}", "x", 2.0) for i in range(5, 12)]).drop(*VERDICT)
    kept = {r["trigger_item_id"]: r["judge_score"] for r in keep_verdicts(mined, judged).collect()}
    assert kept == {**{f"t{i}": float(i) for i in range(5, 10)}, "t10": None, "t11": None}
    again = with_verdicts(judged, judged.limit(0).select(*key, "judge_score"), 0.3, "judge").collect()
    assert {r["trigger_item_id"] for r in again if r["verdict"] == "reject"} == {"t0", "t1", "t2"}
