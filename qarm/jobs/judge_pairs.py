"""Asks the language model which mined pairs go together; the least related are rejected."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from qarm.lake.command import main
from qarm.lake.job import Job, Run, user_mistakes
from qarm.models.llm.checkpoint import convert, has_language_model_head, recipe_of
from qarm.models.llm.judge import JUDGE_NAME, JudgeParameters
from qarm.schemas.errors import UserError
from qarm.schemas.tables import ITEM_PAIRS, ITEMS
from qarm.udfs.judge import JUDGED_SCHEMA, judge

SOURCES = ("item2item", "user2item")
CONTENT = ("title", "category", "attributes", "description")


def pairs_to_judge(pairs: DataFrame, judge_name: str, most: int) -> DataFrame:
    """The pairs that matter most of those this judge has not scored.

    Every trigger's best target comes before any trigger's second, by score. The sources take turns, as their scores do
    not compare. Ties are broken by a hash of the ids.
    """
    tie = F.xxhash64("trigger_item_id", "target_item_id")
    within = Window.partitionBy("source", "trigger_item_id").orderBy(F.col("score").desc(), tie, "target_item_id")
    best_first = ("place", F.col("score").desc(), tie, "trigger_item_id", "target_item_id")
    placed = pairs.where(~F.col("judge").eqNullSafe(judge_name)).withColumn("place", F.row_number().over(within))
    candidates = [placed.where(F.col("source") == source).orderBy(*best_first).limit(most) for source in SOURCES]
    turn = F.row_number().over(Window.partitionBy("source").orderBy(*best_first))
    both = reduce(DataFrame.unionByName, candidates).withColumn("turn", turn)
    return both.orderBy("turn", "source").limit(most).drop("place", "turn")


def with_contents(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """Adds the contents of both items as structs ``trigger`` and ``target``."""
    for side in ("trigger", "target"):
        content = items.select(F.col("item_id").alias(f"{side}_item_id"), F.struct(*CONTENT).alias(side))
        pairs = pairs.join(content, f"{side}_item_id", "inner")
    return pairs.select("source", "trigger_item_id", "target_item_id", "trigger", "target")


def with_verdicts(pairs: DataFrame, scores: DataFrame, reject_share: Mapping[str, float], judge_name: str) -> DataFrame:
    """Rejects the lowest-scored share of all pairs that this judge has scored, tonight or before; keeps the rest.

    Args:
        pairs: ``item_pairs``.
        scores: tonight's, by source, trigger and target.
        reject_share: share rejected, by source.
        judge_name: the judge.
    """
    key = ["source", "trigger_item_id", "target_item_id"]
    tonight = pairs.drop("judge_score").join(scores, key, "inner").select(*ITEM_PAIRS.names)
    scored = pairs.where(F.col("judge") == judge_name).unionByName(tonight)
    by_source = Window.partitionBy("source")
    place = F.row_number().over(by_source.orderBy("judge_score", F.xxhash64(*key[1:]), *key[1:]))
    share = F.create_map(*(F.lit(value) for pair in reject_share.items() for value in pair))[F.col("source")]
    lowest = place <= F.floor(share * F.count("*").over(by_source))
    return scored.withColumns(
        {"verdict": F.when(lowest, "reject").otherwise("keep"), "judge": F.lit(judge_name)}
    ).select(*ITEM_PAIRS.names)


def steps(run: Run) -> None:
    """Judges at most ``judge.max_pairs`` pairs and merges their verdicts.

    Executor memory: one copy of the language model a worker. Driver memory: none that grows.
    """
    settings = run.settings
    llm = settings.language_model
    pairs = run.read(ITEM_PAIRS.name)
    if settings.judge.max_pairs == 0:
        run.measure("pairs.judged", 0)
        return
    with run.step("prepare the language model"), user_mistakes():
        recipe = recipe_of(llm.model, llm.dtype)
        model = run.made_once("language_model", recipe, partial(convert, llm.model, llm.dtype))
    if not has_language_model_head(run.lake.artifacts.fetch(model)):
        raise UserError(
            f"language_model.model: {llm.model} has no language-model head to judge pairs with; name a model that has"
            " one, or set judge.max_pairs=0"
        )
    judge_name = f"{JUDGE_NAME}/{llm.model}"
    name = run.lake.artifacts.ship(model)
    chosen = pairs_to_judge(pairs, judge_name, settings.judge.max_pairs).persist()
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
    verdicts = with_verdicts(pairs, scores, settings.judge.reject_share.model_dump(), judge_name).persist()
    with run.step("write verdicts"):
        run.merge(ITEM_PAIRS, verdicts, compare=["verdict", "judge_score", "judge"])
    run.measure("pairs.judged", judged)
    run.measure("pairs.rejected", verdicts.where("verdict = 'reject'").count())
    for frame in (verdicts, scores, chosen):
        frame.unpersist()


JOB = Job("judge_pairs", steps, sections=("judge", "language_model"), reads=("item_pairs", "items"))

if __name__ == "__main__":
    raise SystemExit(main(JOB))
