"""Asks the language model which mined pairs go together; the least related are rejected."""

from __future__ import annotations

from functools import partial

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from qarm.lake.command import main
from qarm.lake.job import Job, Run
from qarm.models.llm.checkpoint import convert
from qarm.models.llm.judge import JUDGE_NAME, JudgeParameters
from qarm.schemas.tables import ITEM_PAIRS, ITEMS
from qarm.udfs.judge import JUDGED_SCHEMA, judge

CONTENT = ("title", "category", "attributes", "description")


def pairs_to_judge(pairs: DataFrame, most: int) -> DataFrame:
    """The unjudged pairs that matter most: every trigger's best target before any trigger's second, by score.

    Ties are broken by a hash of the ids.
    """
    tie = F.xxhash64("trigger_item_id", "target_item_id")
    within = Window.partitionBy("source", "trigger_item_id").orderBy(F.col("score").desc(), tie, "target_item_id")
    return (
        pairs.where("verdict IS NULL")
        .withColumn("place", F.row_number().over(within))
        .orderBy("place", F.col("score").desc(), tie, "trigger_item_id", "target_item_id")
        .limit(most)
        .drop("place")
    )


def with_contents(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """Adds the contents of both items as structs ``trigger`` and ``target``."""
    for side in ("trigger", "target"):
        content = items.select(F.col("item_id").alias(f"{side}_item_id"), F.struct(*CONTENT).alias(side))
        pairs = pairs.join(content, f"{side}_item_id", "inner")
    return pairs.select("source", "trigger_item_id", "target_item_id", "trigger", "target")


def with_verdicts(pairs: DataFrame, scores: DataFrame, reject_share: float, judge_name: str) -> DataFrame:
    """Rejects the lowest-scored share of the judged pairs; the rest is kept."""
    place = F.percent_rank().over(
        Window.partitionBy("source").orderBy("judge_score", F.xxhash64("trigger_item_id", "target_item_id"))
    )
    verdicts = scores.withColumn("verdict", F.when(place < reject_share, "reject").otherwise("keep"))
    return (
        pairs.drop("verdict", "judge_score", "judge")
        .join(verdicts, ["source", "trigger_item_id", "target_item_id"], "inner")
        .withColumn("judge", F.lit(judge_name))
        .select(*ITEM_PAIRS.names)
    )


def steps(run: Run) -> None:
    """Judges at most ``judge.max_pairs`` pairs and merges their verdicts.

    Executor memory: one copy of the language model a worker. Driver memory: none that grows.
    """
    settings = run.settings
    llm = settings.language_model
    with run.step("prepare the language model"):
        recipe = {"model": llm.model, "dtype": llm.dtype}
        model = run.made_once("language_model", recipe, partial(convert, llm.model, llm.dtype))
    name = run.lake.artifacts.ship(model)
    chosen = pairs_to_judge(run.read(ITEM_PAIRS.name), settings.judge.max_pairs).persist()
    parameters = JudgeParameters(llm.max_tokens, settings.judge.batch_tokens, llm.dtype)
    cores = run.spark.sparkContext.defaultParallelism
    scores = (
        with_contents(chosen, run.read(ITEMS.name))
        .repartition(2 * cores, "target_item_id")  # pairs of one target together: its unconditional term is shared
        .mapInArrow(judge(name, parameters), JUDGED_SCHEMA)
        .persist()
    )
    with run.step(f"judge {chosen.count()} pairs"):
        judged = scores.count()
    judge_name = f"{JUDGE_NAME}/{llm.model}"
    verdicts = with_verdicts(chosen, scores, settings.judge.reject_share, judge_name)
    with run.step("write verdicts"):
        run.merge(ITEM_PAIRS, verdicts, compare=["verdict", "judge_score", "judge"])
    rejected = verdicts.where("verdict = 'reject'").count()
    run.measure("pairs.judged", judged)
    run.measure("pairs.rejected", rejected)
    for frame in (scores, chosen):
        frame.unpersist()


JOB = Job("judge_pairs", steps, sections=("judge", "language_model"), reads=("item_pairs", "items"))

if __name__ == "__main__":
    raise SystemExit(main(JOB))
