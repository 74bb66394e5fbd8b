"""AUC, GAUC and UAUC of the ranker and of baselines, by slices of the scored examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce

import scipy.stats
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.run import Run
from models.ranker.baseline import RANKER
from models.ranker.baselines import COLUMNS
from udfs.scoring import PART_AUC_SCHEMA, USER_AUC_SCHEMA, part_aucs, user_aucs

COLD_EVENTS = 5
"""An item with fewer positive events in the train period is cold."""

USERS_PER_TASK = 50_000

INTERVAL_PARTS, INTERVAL_SHARE = 20, 0.95
"""The interval of the AUC is that of the mean AUC of this many disjoint parts of the users."""


def with_train_events(examples: DataFrame, train_positives: DataFrame, tasks: list[str]) -> DataFrame:
    """Adds ``train_events`` (the item's positives in the train period), ``cold`` and the scores of column baselines."""
    counts = train_positives.groupBy("item_id").agg(F.count("*").cast("double").alias("train_events"))
    joined = examples.join(counts, "item_id", "left").fillna(0.0, ["train_events"])
    scores = {f"{baseline.name}_{task}": F.col(baseline.column) for baseline in COLUMNS.values() for task in tasks}
    return joined.withColumns(scores).withColumn("cold", F.col("train_events") < COLD_EVENTS)


def slices_of(scored: DataFrame, follows: Mapping[str, str], rankers: Sequence[str]) -> dict[str, DataFrame]:
    """The slices that are measured, by name.

    If a task follows another task, the test examples that are positive for the other task are a further slice. In this
    slice, a ranker's score of the task is the probability given the other task (CVR).

    Args:
        scored: labels, scores, split and ``cold``.
        follows: tasks, each with the task that it follows.
        rankers: names of models whose scores are probabilities.
    """
    test = scored.where("split = 'test'")
    slices = {
        "valid": scored.where("split = 'valid'"),
        "test": test,
        "test/cold_items": test.where("cold"),
        "test/known_items": test.where("NOT cold"),
    }
    for before in sorted(set(follows.values())):
        given = {
            f"{model}_{task}": F.col(f"{model}_{task}").cast("double") / F.col(f"{model}_{before}")
            for task in follows
            if follows[task] == before
            for model in rankers
        }
        slices[f"test/after_{before}"] = test.where(F.col(f"label_{before}") == 1).withColumns(given)
    return slices


def auc_of(rows: DataFrame, task: str, model: str) -> float | None:
    """Exact AUC over all rows, sorted on the executors; None if a class is missing."""
    label, raw = f"label_{task}", f"{model}_{task}"
    if rows.select(label).distinct().count() < 2:
        return None
    evaluator = BinaryClassificationEvaluator(
        rawPredictionCol="raw", labelCol="label", metricName="areaUnderROC", numBins=0
    )
    return float(
        evaluator.evaluate(
            rows.select(F.col(raw).cast("double").alias("raw"), F.col(label).cast("double").alias("label"))
        )
    )


def auc_half_widths(rows: DataFrame, tasks: Sequence[str], model: str) -> dict[str, float]:
    """Half the width of the 95 % interval of the AUC of each task, over samples of users.

    The users are cut into disjoint parts by a hash. The AUC of a part varies as a sample's does, and the mean over the
    parts as the AUC of all users does, up to the pairs of examples in different parts. Executor memory: the scores of
    one part.

    Args:
        rows: user_id, labels and scores.
        tasks: names of the tasks.
        model: name of the model.

    Returns:
        Half widths by task, without those of tasks that fewer than two parts can measure.
    """
    columns = [*(f"label_{task}" for task in tasks), *(f"{model}_{task}" for task in tasks)]
    part = F.pmod(F.xxhash64(F.lit("interval"), "user_id"), F.lit(INTERVAL_PARTS)).alias("part")
    aucs = rows.select(*columns, part).groupBy("part").applyInArrow(part_aucs(tasks, model), PART_AUC_SCHEMA)
    spreads = aucs.groupBy("task").agg(F.stddev("auc").alias("deviation"), F.count("auc").alias("parts")).collect()
    return {
        row["task"]: float(scipy.stats.t.ppf(0.5 + INTERVAL_SHARE / 2, row["parts"] - 1))
        * row["deviation"]
        / math.sqrt(row["parts"])
        for row in spreads
        if row["parts"] > 1
    }


def per_user(scored: DataFrame, slices: dict[str, DataFrame], tasks: list[str], models: list[str]) -> DataFrame:
    """GAUC and UAUC of every slice, task and model, and the number of users without both classes, who are left out.

    Executor memory: the examples of one bucket of users.
    """
    tagged = reduce(DataFrame.unionByName, (rows.withColumn("slice", F.lit(name)) for name, rows in slices.items()))
    users = scored.agg(F.approx_count_distinct("user_id")).collect()[0][0]
    buckets = max(scored.sparkSession.sparkContext.defaultParallelism * 2, math.ceil(users / USERS_PER_TASK))
    columns = ["slice", "user_id", *(f"label_{t}" for t in tasks), *(f"{m}_{t}" for m in models for t in tasks)]
    aucs = (
        tagged.select(*columns, F.pmod(F.xxhash64("user_id"), F.lit(buckets)).alias("bucket"))
        .groupBy("slice", "bucket")
        .applyInArrow(user_aucs(tasks, models), USER_AUC_SCHEMA)
    )
    ranked = F.when(F.col("auc").isNotNull(), F.col("impressions"))
    return aucs.groupBy("slice", "task", "model").agg(
        (F.sum(F.col("auc") * F.col("impressions")) / F.sum(ranked)).alias("gauc"),
        F.avg("auc").alias("uauc"),
        F.count("auc").alias("users"),
        F.sum(F.col("auc").isNull().cast("long")).alias("users_left_out"),
    )


def measure(run: Run, scored: DataFrame, tasks: list[str], models: list[str]) -> None:
    """Records every metric: ``click.auc`` is the ranker's, ``click.auc.popularity`` that of a baseline."""
    slices = slices_of(scored, run.settings.ranking.follows, [model for model in models if model not in COLUMNS])

    def name_of(task: str, metric: str, model: str) -> str:
        return f"{task}.{metric}" if model == RANKER else f"{task}.{metric}.{model}"

    half_widths = auc_half_widths(slices["test"], tasks, RANKER)
    for slice, rows in slices.items():
        for task in tasks:
            for model in models:
                value = auc_of(rows, task, model)
                run.measure(name_of(task, "auc", model), value, slice)
                if slice == "test" and model == RANKER and value is not None and task in half_widths:
                    run.measure(f"{task}.auc_low", value - half_widths[task], slice)
                    run.measure(f"{task}.auc_high", value + half_widths[task], slice)
    for row in per_user(scored, slices, tasks, models).collect():
        for metric in ("gauc", "uauc"):
            run.measure(name_of(row["task"], metric, row["model"]), row[metric], row["slice"])
        if row["model"] == RANKER:
            run.measure(f"{row['task']}.users", row["users"], row["slice"])
            run.measure(f"{row['task']}.users_left_out", row["users_left_out"], row["slice"])
