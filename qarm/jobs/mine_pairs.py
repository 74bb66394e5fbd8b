"""Mines item-to-item pairs from the log's train period with Swing."""

from __future__ import annotations

import math

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from qarm.lake.command import main
from qarm.lake.job import Job, Run
from qarm.lake.periods import split_periods
from qarm.models.pairs.swing import SwingParameters
from qarm.schemas.errors import UserError
from qarm.schemas.settings import MineSettings
from qarm.schemas.tables import INTERACTIONS, ITEM_PAIRS
from qarm.udfs.swing import SWING_SCHEMA, swing_bucket


def user_items(positives: DataFrame, settings: MineSettings) -> DataFrame:
    """Every user's distinct items: the latest ``max_user_items``, users with fewer than ``min_user_items`` left out.

    Ties in time are broken by a hash of the ids. Memory: Spark spills both windows; a user's kept items fit a row.

    Returns:
        user_id, items ARRAY<STRING>.
    """
    latest = positives.groupBy("user_id", "item_id").agg(F.max("event_time").alias("last_time"))
    order = Window.partitionBy("user_id").orderBy(
        F.col("last_time").desc(), F.xxhash64("user_id", "item_id"), "item_id"
    )
    kept = latest.withColumn("place", F.row_number().over(order)).where(F.col("place") <= settings.max_user_items)
    grouped = kept.groupBy("user_id").agg(F.collect_list("item_id").alias("items"))
    return grouped.where(F.size("items") >= settings.min_user_items)


def sampled_users(users: DataFrame, settings: MineSettings) -> DataFrame:
    """The users each item is scored on: all of them, or ``max_item_users`` by hash where it has more.

    Returns:
        user_id, item_id.
    """
    order = Window.partitionBy("item_id").orderBy(F.xxhash64("item_id", "user_id"), "user_id")
    return (
        users.select("user_id", F.explode("items").alias("item_id"))
        .withColumn("place", F.row_number().over(order))
        .where(F.col("place") <= settings.max_item_users)
        .select("user_id", "item_id")
    )


def by_bucket(users: DataFrame, sample: DataFrame, buckets: int) -> DataFrame:
    """One row per bucket of trigger items and user that has any of them.

    Returns:
        bucket INT, user_id, items ARRAY<STRING>, triggers ARRAY<STRING>.
    """
    bucket = F.pmod(F.xxhash64("item_id"), F.lit(buckets)).cast("int")
    held = sample.groupBy(bucket.alias("bucket"), "user_id").agg(F.collect_list("item_id").alias("triggers"))
    return held.join(users, "user_id", "inner").select("bucket", "user_id", "items", "triggers")


def bucket_count(users: DataFrame, settings: MineSettings) -> int:
    """How many buckets keep each under ``rows_per_task`` item occurrences, were every user in every bucket."""
    occurrences, pairs, n = users.agg(
        F.sum(F.size("items")), F.sum(F.pow(F.size("items").cast("double"), 2.0)), F.count("*")
    ).collect()[0]
    if not n:
        return 0
    # A user's items travel once per bucket that holds one of them: at most |I_u| times, at most once a bucket.
    cores = users.sparkSession.sparkContext.defaultParallelism
    wanted = max(math.ceil(pairs / settings.rows_per_task), 4 * cores)
    return int(min(wanted, occurrences))


def keep_verdicts(mined: DataFrame, standing: DataFrame | None) -> DataFrame:
    """Gives pairs the verdicts they had before; pairs that are new have none.

    Args:
        mined: tonight's pairs.
        standing: ``item_pairs`` as it stands, or None.
    """
    verdict = {"verdict": "string", "judge_score": "double", "judge": "string"}
    if standing is None:
        return mined.withColumns({name: F.lit(None).cast(kind) for name, kind in verdict.items()})
    key = ["source", "trigger_item_id", "target_item_id"]
    return mined.join(standing.where("judge IS NOT NULL").select(*key, *verdict), key, "left")


def _standing_pairs(run: Run) -> DataFrame | None:
    warehouse = run.lake.warehouse
    return warehouse.read(ITEM_PAIRS.name) if warehouse.exists(ITEM_PAIRS.name) else None


def steps(run: Run) -> None:
    """Caps histories, buckets them by trigger item, scores each bucket.

    Executor memory: a bucket's users with their items. Driver memory: one row a day of the log.
    """
    settings = run.settings.mine
    interactions = run.read(INTERACTIONS.name)
    periods = split_periods(interactions, run.settings.split)
    positives = interactions.where(periods.in_train & F.col("action").isin(run.settings.ranking.positive_actions))
    users = user_items(positives, settings).persist()
    with run.step("cap histories"):
        buckets = bucket_count(users, settings)
    if buckets == 0:
        raise UserError(
            f"mine.min_user_items: no user has {settings.min_user_items} distinct positive items before"
            f" {periods.valid_from}; lower it, or check ranking.tasks"
        )
    parameters = SwingParameters(settings.alpha1, settings.alpha2, settings.beta, settings.top_k)
    pairs = (
        by_bucket(users, sampled_users(users, settings), buckets)
        .groupBy("bucket")
        .applyInArrow(swing_bucket(parameters), SWING_SCHEMA)
        .select(
            F.lit("item2item").alias("source"),
            "trigger_item_id",
            "target_item_id",
            "score",
            "support",
            F.lit(run.run_id).alias("run_id"),
        )
        .transform(lambda mined: keep_verdicts(mined, _standing_pairs(run)))
        .persist()
    )
    with run.step("score pairs"):
        count, triggers = pairs.agg(F.count("*"), F.countDistinct("trigger_item_id")).collect()[0]
    with run.step("write item_pairs"):
        run.overwrite(ITEM_PAIRS, pairs)
    run.measure("pairs.count", count, "item2item")
    run.measure("pairs.triggers", triggers, "item2item")
    pairs.unpersist()
    users.unpersist()


JOB = Job("mine_pairs", steps, sections=("mine", "split", "ranking"), reads=("interactions",))

if __name__ == "__main__":
    raise SystemExit(main(JOB))
