from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from qarm.jobs.judge_pairs import pairs_to_judge, with_verdicts
from qarm.jobs.mine_pairs import keep_verdicts

TENTH = {"item2item": 0.1, "user2item": 0.7}
VERDICT = ("verdict", "judge_score", "judge")


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


def test_sources_take_turns(spark: SparkSession) -> None:
    swing = pairs(spark, [(t, "x", 0.1) for t in "abcdef"])
    towers = pairs(spark, [(t, "x", 0.9) for t in "gh"]).withColumn("source", F.lit("user2item"))
    chosen = pairs_to_judge(swing.unionByName(towers), "judge", 5).groupBy("source").count().collect()
    assert {row["source"]: row["count"] for row in chosen} == {"item2item": 3, "user2item": 2}


def test_each_source_has_its_own_share(spark: SparkSession) -> None:
    mined = pairs(spark, [(f"t{i}", "x", 1.0) for i in range(10)])
    mined = mined.unionByName(mined.withColumn("source", F.lit("user2item")))
    scores = mined.select("source", "trigger_item_id", "target_item_id", F.col("score").alias("judge_score"))
    verdicts = with_verdicts(mined, scores, TENTH, "judge").where("verdict = 'reject'").groupBy("source").count()
    assert {row["source"]: row["count"] for row in verdicts.collect()} == {"item2item": 1, "user2item": 7}


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
    verdicts = {r["trigger_item_id"]: r["verdict"] for r in with_verdicts(mined, scores, TENTH, "judge").collect()}
    assert {trigger for trigger, verdict in verdicts.items() if verdict == "reject"} == {"t0", "t1"}
    assert len(verdicts) == 20


def test_verdicts_outlive_the_night_and_follow_a_new_share(spark: SparkSession) -> None:
    first = keep_verdicts(pairs(spark, [(f"t{i}", "x", 1.0) for i in range(10)]).drop(*VERDICT), None)
    score = F.substring("trigger_item_id", 2, 9).cast("double").alias("judge_score")
    key = ("source", "trigger_item_id", "target_item_id")
    judged = with_verdicts(first, first.select(*key, score), TENTH, "judge")
    mined = pairs(spark, [(f"t{i}", "x", 2.0) for i in range(5, 12)]).drop(*VERDICT)
    kept = {r["trigger_item_id"]: r["judge_score"] for r in keep_verdicts(mined, judged).collect()}
    assert kept == {**{f"t{i}": float(i) for i in range(5, 10)}, "t10": None, "t11": None}
    again = with_verdicts(
        judged, judged.limit(0).select(*key, "judge_score"), {**TENTH, "item2item": 0.3}, "judge"
    ).collect()
    assert {r["trigger_item_id"] for r in again if r["verdict"] == "reject"} == {"t0", "t1", "t2"}
