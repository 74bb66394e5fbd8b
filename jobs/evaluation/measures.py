"""AUC, GAUC and UAUC of the ranker and of baselines, by slices of the scored examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.evaluation.slices import SPLITS, Sliced, after_tasks, breakdowns, sliced
from lake.run import Run
from lake.side_by_side import side_by_side
from models.ranker.baseline import RANKER
from models.ranker.baselines import COLUMNS
from models.ranker.intervals import BAGS, BINS
from models.ranker.sorted_auc import Part, auc_of_parts
from udfs.scoring import (
    BAG_SCHEMA,
    INTERVAL_SCHEMA,
    PART_SCHEMA,
    USER_AUC_SCHEMA,
    auc_parts,
    bag_counts,
    interval_rows,
    user_aucs,
)

USERS_PER_TASK, EXAMPLES_PER_TASK = 50_000, 1_000_000


def aucs(
    examples: Sliced, tasks: Sequence[str], models: Sequence[str], count: int
) -> dict[tuple[str, str, str], float]:
    """Exact AUC of every slice, task and model in which both classes occur.

    Spark sorts all examples at once, once for all slices. Executor memory: the different scores among some
    :data:`EXAMPLES_PER_TASK` examples, in each of their slices. Driver memory: a row for each partition, slice, task
    and model, and Spark's sample of the sort.

    Args:
        examples: labels and scores with their slices.
        tasks: names of the tasks.
        models: names of the models.
        count: number of examples, roughly.

    Returns:
        The AUC by slice, task and model.
    """
    pairs = [*product(tasks, models)]
    entries = [
        F.struct(
            F.lit(number).alias("pair"),
            F.col(f"{model}_{task}").cast("double").alias("score"),
            F.col(f"label_{task}").cast("double").alias("label"),
        )
        for number, (task, model) in enumerate(pairs)
    ]
    every = examples.rows.select("slices", F.inline(F.array(*entries)))
    tasks_of_spark = max(_at_once(every), math.ceil(count * len(pairs) / EXAMPLES_PER_TASK))
    ordered = every.repartitionByRange(tasks_of_spark, "pair", "score").sortWithinPartitions("pair", "score")
    parts = [Part(*row) for row in ordered.mapInArrow(auc_parts(len(examples.names)), PART_SCHEMA).collect()]
    keys = [(slice, *pair) for pair, slice in product(pairs, examples.names)]
    return {keys[number]: value for number, value in auc_of_parts(parts).items()}


def per_user(examples: Sliced, tasks: Sequence[str], models: Sequence[str], users: int) -> DataFrame:
    """GAUC and UAUC of every slice, task and model, and the number of users without both classes, who are left out.

    Executor memory: the examples of one bucket of users.

    Args:
        examples: labels and scores with their slices.
        tasks: names of the tasks.
        models: names of the models.
        users: number of users, roughly.
    """
    buckets = max(_at_once(examples.rows), math.ceil(users / USERS_PER_TASK))
    columns = ["slices", "user_id", *(f"label_{t}" for t in tasks), *(f"{m}_{t}" for m in models for t in tasks)]
    aucs = (
        examples.rows.select(*columns, F.pmod(F.xxhash64("user_id"), F.lit(buckets)).alias("bucket"))
        .groupBy("bucket")
        .applyInArrow(user_aucs(examples.names, tasks, models), USER_AUC_SCHEMA)
    )
    ranked = F.when(F.col("auc").isNotNull(), F.col("impressions"))
    return aucs.groupBy("slice", "task", "model").agg(
        (F.sum(F.col("auc") * F.col("impressions")) / F.sum(ranked)).alias("gauc"),
        F.avg("auc").alias("uauc"),
        F.count("auc").alias("users"),
        F.sum(F.col("auc").isNull().cast("long")).alias("users_left_out"),
    )


def _at_once(rows: DataFrame) -> int:
    """Tasks that keep all cores at work."""
    return rows.sparkSession.sparkContext.defaultParallelism * 2


def parts_of_bags(users: int, at_once: int) -> tuple[int, int]:
    """How users are parted, so that few of them are in a bucket: into the parts of all bags, and these into buckets.

    Args:
        users: number of users, roughly.
        at_once: least number of buckets, unless there are fewer parts.

    Returns:
        Number of parts, a multiple of :data:`BAGS`, and number of buckets.
    """
    parts = BAGS * max(math.ceil(users / (BAGS * USERS_PER_TASK)), 1)
    return parts, parts if parts > BAGS else min(BAGS, max(at_once, math.ceil(users / USERS_PER_TASK)))


def intervals_of(rows: DataFrame, slices: Column, tasks: Sequence[str], users: int) -> DataFrame:
    """AUC, GAUC and UAUC of the ranker with bootstrap intervals over users, in slices that may overlap.

    Executor memory: the scores of a bucket of users in one slice, or the counts of all bags of a slice.

    Args:
        rows: user_id, labels and scores.
        slices: the names of the slices that a row belongs to, an array; nulls are left out.
        tasks: names of the tasks.
        users: number of users, roughly.

    Returns:
        slice, task, metric, value, low, high, examples.
    """
    parts, buckets = parts_of_bags(users, _at_once(rows))
    part = F.pmod(F.xxhash64(F.lit("interval"), "user_id"), F.lit(parts))
    bucket = F.pmod(part, F.lit(buckets))
    scores = [f"{RANKER}_{task}" for task in tasks]
    inner = [place / BINS for place in range(1, BINS)]
    quantiles = dict(zip(tasks, rows.approxQuantile(scores, inner, 0.5 / BINS), strict=True))
    edges = {task: sorted(set(found)) for task, found in quantiles.items()}
    columns = ["user_id", *(f"label_{task}" for task in tasks), *scores]
    tagged = rows.select(
        *columns, F.pmod(part, F.lit(BAGS)).alias("bag"), bucket.alias("bucket"), F.explode(slices).alias("slice")
    ).where("slice IS NOT NULL")
    bags = tagged.groupBy("slice", "bucket").applyInArrow(bag_counts(tasks, RANKER, edges), BAG_SCHEMA)
    return bags.groupBy("slice", "task").applyInArrow(interval_rows, INTERVAL_SCHEMA)


def measure_intervals(
    run: Run, test: DataFrame, after: Mapping[str, DataFrame], *, tasks: Sequence[str], users: int
) -> None:
    """Records the ranker's intervals on the test examples, and its metrics on the slices of :func:`breakdowns`.

    Of the latter the AUC comes from binned scores, see :mod:`models.ranker.intervals`.
    """
    exact = {*SPLITS, *after}
    for name, rows in {"test": test, **after}.items():
        parts = breakdowns(test) if name == "test" else F.array(F.lit(name))
        for row in intervals_of(rows, parts, tasks, users).collect():
            metric = f"{row['task']}.{row['metric']}"
            if row["slice"] not in exact:
                run.measure(metric, row["value"], row["slice"])
            if row["slice"] not in exact and row["metric"] == "auc":
                run.measure(f"{row['task']}.examples", row["examples"], row["slice"])
            if row["low"] is not None:
                run.measure(f"{metric}_low", row["low"], row["slice"])
                run.measure(f"{metric}_high", row["high"], row["slice"])


def measure(run: Run, scored: DataFrame, tasks: list[str], models: list[str]) -> None:
    """Records every metric: ``click.auc`` is the ranker's, ``click.auc.popularity`` that of a baseline."""
    users, count = scored.agg(F.approx_count_distinct("user_id"), F.count("*")).collect()[0]
    test = scored.where("split = 'test'")
    after = after_tasks(test, run.settings.ranking.follows, [model for model in models if model not in COLUMNS])
    examples = sliced(scored, after)

    def name_of(task: str, metric: str, model: str) -> str:
        return f"{task}.{metric}" if model == RANKER else f"{task}.{metric}.{model}"

    def of_all() -> None:
        found = aucs(examples, tasks, models, count)
        for slice, task, model in product(examples.names, tasks, models):
            run.measure(name_of(task, "auc", model), found.get((slice, task, model)), slice)

    def of_users() -> None:
        for row in per_user(examples, tasks, models, users).collect():
            for metric in ("gauc", "uauc"):
                run.measure(name_of(row["task"], metric, row["model"]), row[metric], row["slice"])
            if row["model"] == RANKER:
                run.measure(f"{row['task']}.users", row["users"], row["slice"])
                run.measure(f"{row['task']}.users_left_out", row["users_left_out"], row["slice"])

    side_by_side(run.spark, of_all, of_users, lambda: measure_intervals(run, test, after, tasks=tasks, users=users))
