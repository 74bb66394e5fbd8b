"""Asks a judge which mined pairs go together; the least related are rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial, reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from qarm.jobs.contents import FIELDS, endpoint_parameters, with_content_hashes
from qarm.lake.command import main
from qarm.lake.indexing import with_row_number
from qarm.lake.job import Job, Run, user_mistakes
from qarm.models.llm.checkpoint import convert, has_language_model_head, recipe_of
from qarm.models.llm.judge import JudgeParameters, judge_name
from qarm.schemas.errors import UserError
from qarm.schemas.settings import JudgeSettings
from qarm.schemas.tables import ITEM_PAIRS, ITEMS, PAIR_VERDICTS
from qarm.udfs.judge import OPINION_SCHEMA, judge_by_endpoint, judge_locally

SOURCES = ("item2item", "user2item")
CONTENTS = ["trigger_content", "target_content"]


def contents_to_judge(pairs: DataFrame, verdicts: DataFrame, most: int) -> DataFrame:
    """Pairs of contents that this judge has not scored, of the item pairs that matter most.

    Every trigger's best target comes before any trigger's second, by score. The sources take turns, as their scores do
    not compare. Ties are broken by a hash of the ids.

    Args:
        pairs: ``item_pairs`` with content hashes.
        verdicts: this judge's, by content hashes.
        most: item pairs that are chosen.

    Returns:
        trigger_content, target_content; distinct.
    """
    tie = F.xxhash64("trigger_item_id", "target_item_id")
    within = Window.partitionBy("source", "trigger_item_id").orderBy(F.col("score").desc(), tie, "target_item_id")
    best_first = ("place", F.col("score").desc(), tie, "trigger_item_id", "target_item_id")
    new = pairs.join(verdicts, CONTENTS, "left_anti")
    placed = new.withColumn("place", F.row_number().over(within)).persist()
    counts = {row["source"]: row["count"] for row in placed.groupBy("source").count().collect()}
    chosen = []
    for source, share in turns([counts.get(source, 0) for source in SOURCES], most):
        of_source = placed.where(F.col("source") == source)
        if 0 < share < counts[source]:
            of_source = with_row_number(of_source, "turn", *best_first).where(F.col("turn") < share)
        chosen.append(of_source.where(F.lit(share > 0)).select(*CONTENTS))
    return reduce(DataFrame.unionByName, chosen).distinct()


def turns(counts: Sequence[int], most: int) -> list[tuple[str, int]]:
    """How many pairs of each source are taken where the sources take turns until there are enough.

    Args:
        counts: pairs of each of ``SOURCES``.
        most: pairs taken in all.
    """
    first, second = counts
    taken = min(first, max(most - second, (most + 1) // 2))
    return list(zip(SOURCES, (taken, min(second, most - taken)), strict=True))


def with_texts(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """Adds the fields of both contents as structs ``trigger`` and ``target``."""
    for side in ("trigger", "target"):
        key = F.col("content_hash").alias(f"{side}_content")
        fields = items.groupBy(key).agg(F.first(F.struct(*FIELDS)).alias(side))  # equal hashes have equal fields
        pairs = pairs.join(fields, f"{side}_content", "inner")
    return pairs.select(*CONTENTS, "trigger", "target")


def with_verdicts(pairs: DataFrame, verdicts: DataFrame, judge: str, settings: JudgeSettings) -> DataFrame:
    """Every pair with what the judge thinks of it: the lowest-scored are rejected, the rest kept, by source.

    A pair that the judge has not scored has no verdict.

    Args:
        pairs: ``item_pairs`` with content hashes.
        verdicts: this judge's scores, by content hashes.
        judge: its name.
        settings: what is rejected.
    """
    key = ["trigger_item_id", "target_item_id"]
    scored = pairs.drop("judge_score", "verdict", "judge").join(verdicts, CONTENTS, "left")
    known = F.col("judge_score").isNotNull()
    if settings.reject_by == "share":
        by_source = Window.partitionBy("source", known)
        place = F.row_number().over(by_source.orderBy("judge_score", F.xxhash64(*key), *key))
        rejected = place <= F.floor(_by_source(settings.reject_share.model_dump()) * F.count("*").over(by_source))
    else:
        rejected = F.col("judge_score") < _by_source(settings.reject_below.model_dump())
    return scored.withColumns(
        {
            "verdict": F.when(known & rejected, "reject").when(known, "keep"),
            "judge": F.when(known, F.lit(judge)),
        }
    ).select(*ITEM_PAIRS.names)


def _by_source(values: Mapping[str, float]) -> Column:
    return F.create_map(*(F.lit(value) for pair in values.items() for value in pair))[F.col("source")]


def opinions_on(run: Run, chosen: DataFrame) -> DataFrame:
    """Scores of pairs of contents, by the judge that the settings name.

    Returns:
        Columns of ``OPINION_SCHEMA``, lazily.
    """
    judge, endpoint, llm = run.settings.judge, run.settings.endpoint, run.settings.language_model
    texts = with_texts(chosen, run.read(ITEMS.name))
    cores = run.spark.sparkContext.defaultParallelism
    if asks_endpoint(run):
        tasks = min(cores, endpoint.concurrency)
        asked = judge_by_endpoint(endpoint_parameters(endpoint, tasks))
        return texts.repartition(tasks, *CONTENTS).mapInArrow(asked, OPINION_SCHEMA)
    with run.step("prepare the judge's model"), user_mistakes():
        model = run.made_once(
            "language_model", recipe_of(judge.model, llm.dtype), partial(convert, judge.model, llm.dtype)
        )
    if judge.method != "similarity" and not has_language_model_head(run.lake.artifacts.fetch(model)):
        raise UserError(
            f"judge.model: {judge.model} has no language-model head, which judge.method={judge.method} needs; name a"
            " model that has one, or set judge.method=similarity"
        )
    parameters = JudgeParameters(judge.method, judge.layer, llm.max_tokens, judge.batch_tokens, llm.dtype)
    asked = judge_locally(run.lake.artifacts.ship(model), parameters)
    # Pairs of one target together, so that what is asked of the target alone is asked once.
    return (
        texts.repartition(2 * cores, "target_content")
        .sortWithinPartitions(*CONTENTS[::-1])
        .mapInArrow(asked, OPINION_SCHEMA)
    )


def asks_endpoint(run: Run) -> bool:
    """Whether an endpoint is the judge."""
    return run.settings.judge.method == "yes_no" and bool(run.settings.endpoint.url)


def steps(run: Run) -> None:
    """Judges at most ``judge.max_pairs`` pairs more, and gives all pairs the verdicts there are.

    Executor memory: one copy of the judge's model a worker. Driver memory: none that grows.
    """
    judge, endpoint = run.settings.judge, run.settings.endpoint
    name = judge_name(judge.method, f"{endpoint.url}#{endpoint.model}" if asks_endpoint(run) else judge.model)
    pairs = with_content_hashes(run.read(ITEM_PAIRS.name), run.read(ITEMS.name))
    known = verdicts_of(run, name)
    chosen = contents_to_judge(pairs, known, judge.max_pairs).persist()
    count = chosen.count()
    if count:
        opinions = opinions_on(run, chosen).persist()
        with run.step(f"judge {count} pairs of contents"):
            answered, replied, read, written = opinions.agg(
                F.count("judge_score"),
                F.count(F.coalesce(F.col("judge_score").cast("string"), "reason")),
                F.sum("tokens_read"),
                F.sum("tokens_written"),
            ).collect()[0]
        if not replied:
            raise UserError(f"endpoint.url: {endpoint.url} gave no answer to any of {count} questions")
        new = opinions.where("judge_score IS NOT NULL").withColumns(
            {"judge": F.lit(name), "judged_at": F.lit(run.started_at)}
        )
        with run.step("keep what the judge said"):
            run.merge(PAIR_VERDICTS, new.select(*PAIR_VERDICTS.names), compare=["judge_score"])
        known = verdicts_of(run, name)
        run.measure("judge.unanswered", count - answered)
        if asks_endpoint(run):
            run.measure("judge.tokens_read", read)
            run.measure("judge.tokens_written", written)
            run.measure("judge.cost", (read * endpoint.price_read + written * endpoint.price_written) / 1e6)
        opinions.unpersist()
    run.measure("pairs.judged", count)
    verdicts = with_verdicts(pairs, known, name, judge).persist()
    with run.step("write verdicts"):
        run.merge(ITEM_PAIRS, verdicts, compare=["verdict", "judge_score", "judge"])
    for source, verdict, total in (
        verdicts.where(F.col("verdict").isNotNull()).groupBy("source", "verdict").count().collect()
    ):
        run.measure(f"pairs.{verdict}", total, source)
    for frame in (verdicts, chosen):
        frame.unpersist()


def verdicts_of(run: Run, judge: str) -> DataFrame:
    """A judge's scores by content hashes, as they stand."""
    empty = run.spark.createDataFrame([], "trigger_content STRING, target_content STRING, judge_score DOUBLE")
    if not run.lake.warehouse.exists(PAIR_VERDICTS.name):
        return empty
    kept = run.lake.warehouse.read(PAIR_VERDICTS.name).where(F.col("judge") == judge)
    return kept.select(*CONTENTS, "judge_score")


JOB = Job("judge_pairs", steps, sections=("judge", "language_model", "endpoint"), reads=("item_pairs", "items"))

if __name__ == "__main__":
    raise SystemExit(main(JOB))
