"""Judges mined item pairs by a language model, and rejects the least related pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.transforms.contents import FIELDS, check_endpoint, endpoint_parameters, endpoint_tasks, with_content_hashes
from lake.command import main
from lake.declaration import Job
from lake.frames import EPOCH, frame_of
from lake.indexing import with_row_number
from lake.run import Run
from models.llm.encoder import EncoderParameters, hidden_state
from models.llm.judge import LocalJudge
from models.llm.judges import judge_of
from models.llm.judges.yes_no_endpoint import EndpointJudge
from models.llm.language_model import convert, has_language_model_head, hidden_layers, model_recipe
from schemas.errors import UserError, user_mistakes
from schemas.names import PAIR_SOURCES
from schemas.parameters import take
from schemas.sections import JudgeSettings
from schemas.settings import Settings
from schemas.tables import ITEM_PAIRS, ITEMS, PAIR_VERDICTS
from udfs.judge import OPINION_SCHEMA, judge_by_endpoint, judge_locally

CONTENTS = ["trigger_content", "target_content"]
PAIRS_PER_TASK = 8
"""With fewer pairs, a further worker takes longer to load the model than it saves."""


def contents_to_judge(pairs: DataFrame, verdicts: DataFrame, most: int) -> DataFrame:
    """Chooses the pairs of contents to judge, among those that the judge has not scored yet.

    The best targets of all triggers come first, in the order of their scores, then the second best, and so on. The
    sources take turns, as their scores are not comparable. A hash of the ids breaks ties.

    Args:
        pairs: ``item_pairs`` with content hashes.
        verdicts: scores of the judge, by content hashes.
        most: number of item pairs to choose.

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
    for source, share in turns([counts.get(source, 0) for source in PAIR_SOURCES], most):
        of_source = placed.where(F.col("source") == source)
        if 0 < share < counts[source]:
            of_source = with_row_number(of_source, "turn", *best_first).where(F.col("turn") < share)
        chosen.append(of_source.where(F.lit(share > 0)).select(*CONTENTS))
    return reduce(DataFrame.unionByName, chosen).distinct()


def turns(counts: Sequence[int], most: int) -> list[tuple[str, int]]:
    """Number of pairs of each source if the sources take turns.

    Args:
        counts: number of pairs of each of ``PAIR_SOURCES``.
        most: number of pairs in total.
    """
    first, second = counts
    taken = min(first, max(most - second, (most + 1) // 2))
    return list(zip(PAIR_SOURCES, (taken, min(second, most - taken)), strict=True))


def with_texts(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """Adds the fields of both contents, as structs ``trigger`` and ``target``."""
    for side in ("trigger", "target"):
        key = F.col("content_hash").alias(f"{side}_content")
        fields = items.groupBy(key).agg(F.first(F.struct(*FIELDS)).alias(side))  # equal hashes have equal fields
        pairs = pairs.join(fields, f"{side}_content", "inner")
    return pairs.select(*CONTENTS, "trigger", "target")


def with_verdicts(pairs: DataFrame, verdicts: DataFrame, judge: str, settings: JudgeSettings) -> DataFrame:
    """The pairs that the judge has scored, with its verdict: the lowest-scored of each source are rejected.

    A pair without a score that had a verdict before, e.g. of another judge, comes without one.

    Args:
        pairs: ``item_pairs`` with content hashes.
        verdicts: scores of the judge, by content hashes.
        judge: name of the judge.
        settings: share or score of the rejected pairs.

    Returns:
        Rows of ``item_pairs``; pairs that never had a verdict are left out.
    """
    key = ["source", "trigger_item_id", "target_item_id"]
    known = verdicts.where("judge_score IS NOT NULL")
    scored = pairs.drop("judge_score").join(known, CONTENTS, "inner")
    if settings.reject_by == "share":
        by_source = Window.partitionBy("source")
        place = F.row_number().over(by_source.orderBy("judge_score", F.xxhash64(*key[1:]), *key[1:]))
        rejected = place <= F.floor(_by_source(settings.reject_share.model_dump()) * F.count("*").over(by_source))
    else:
        rejected = F.col("judge_score") < _by_source(settings.reject_below.model_dump())
    said = {"verdict": F.when(rejected, "reject").otherwise("keep"), "judge": F.lit(judge)}
    had = pairs.where("verdict IS NOT NULL OR judge IS NOT NULL OR judge_score IS NOT NULL")
    none = {name: F.lit(None).cast(pairs.schema[name].dataType) for name in ("verdict", "judge", "judge_score")}
    without = had.join(known, CONTENTS, "left_anti").withColumns(none)
    return scored.withColumns(said).select(*ITEM_PAIRS.names).unionByName(without.select(*ITEM_PAIRS.names))


def _by_source(values: Mapping[str, float]) -> Column:
    return F.create_map(*(F.lit(value) for pair in values.items() for value in pair))[F.col("source")]


@dataclass(frozen=True)
class Asked:
    """The judge of the settings.

    Attributes:
        name: name of the judge in ``pair_verdicts``.
        opinions: function from pairs of contents with their texts, and their number, to rows of ``OPINION_SCHEMA``;
            it is lazy.
    """

    name: str
    opinions: Callable[[DataFrame, int], DataFrame]


def endpoint_judge(run: Run) -> Asked:
    """The judge that asks the model of the endpoint."""
    endpoint, item_tokens = run.settings.endpoint, run.settings.language_model.max_tokens
    tasks = endpoint_tasks(endpoint, run.spark.sparkContext.defaultParallelism)
    parameters = endpoint_parameters(endpoint, tasks, endpoint.max_tokens, item_tokens)
    reading = {"max_tokens": endpoint.max_tokens, "item_tokens": item_tokens}

    def opinions(texts: DataFrame, _: int) -> DataFrame:
        check_endpoint(parameters)
        return texts.repartition(tasks, *CONTENTS).mapInArrow(judge_by_endpoint(parameters), OPINION_SCHEMA)

    return Asked(EndpointJudge.verdicts_name(f"{endpoint.url}#{endpoint.model}", reading), opinions)


def local_judge(run: Run, judge: type[LocalJudge]) -> Asked:
    """A judge whose model the executors load.

    Raises:
        UserError: the model cannot be loaded, or it lacks the language-model head that the judge needs.
    """
    settings, llm = run.settings.judge, run.settings.language_model
    with run.step("prepare the judge's model"), user_mistakes():
        model = run.made_once(
            "language_model", model_recipe(settings.model, llm.dtype), partial(convert, settings.model, llm.dtype)
        )
        folder = run.lake.artifacts.fetch(model)
        hidden_state(settings.layer, hidden_layers(folder), "judge.layer")
    if judge.needs_head and not has_language_model_head(folder):
        raise UserError(
            f"judge.model: {settings.model} has no language-model head, which judge.method={settings.method} needs;"
            " name a model that has one, or set judge.method=similarity"
        )
    parameters = take(EncoderParameters, settings, max_tokens=llm.max_tokens, dtype=llm.dtype)
    reading = {"model": model.digest} | {name: getattr(parameters, name) for name in judge.reads}
    shipped = run.lake.artifacts.ship(model)
    cores = run.spark.sparkContext.defaultParallelism

    def opinions(texts: DataFrame, count: int) -> DataFrame:
        # Every worker loads the model. Pairs with the same target are adjacent, so that it is scored alone once.
        tasks = max(1, min(2 * cores, count // PAIRS_PER_TASK))
        near = texts.repartition(tasks, "target_content").sortWithinPartitions(*CONTENTS[::-1])
        return near.mapInArrow(judge_locally(judge.name, shipped, parameters), OPINION_SCHEMA)

    return Asked(judge.verdicts_name(settings.model, reading), opinions)


def judge_more(run: Run, asked: Asked, chosen: DataFrame, count: int) -> None:
    """Judges pairs of contents and writes the scores to ``pair_verdicts``.

    A reply without an answer is written too, with a null score, and is not requested again. A request without a reply
    is repeated in the next run.

    Raises:
        UserError: the endpoint answered no request.
    """
    endpoint = run.settings.endpoint
    opinions = asked.opinions(with_texts(chosen, run.read(ITEMS.name)), count).persist()
    replied = opinions.where("judge_score IS NOT NULL OR reason IS NOT NULL")
    with run.step(f"judge {count} pairs of contents"):
        read, written, scores = opinions.agg(
            F.sum("tokens_read"), F.sum("tokens_written"), F.count("judge_score")
        ).collect()[0]
        replies = replied.count()
    if not replies:
        raise UserError(f"endpoint.url: {endpoint.url} gave no answer to any of {count} questions; check [endpoint]")
    with run.step("write pair_verdicts"):
        rows = replied.withColumns({"judge": F.lit(asked.name), "judged_at": F.lit(run.started_at)})
        run.merge(PAIR_VERDICTS, rows.select(*PAIR_VERDICTS.names), compare=["judge_score"])
    run.measure("judge.unanswered", count - scores)
    run.measure("judge.tokens_read", read)
    run.measure("judge.tokens_written", written)
    run.measure("judge.cost", (read * endpoint.price_read + written * endpoint.price_written) / 1e6)
    opinions.unpersist()


def steps(run: Run) -> None:
    """Judges at most ``judge.max_pairs`` further pairs, and writes the verdicts of all judged pairs.

    Executor memory: one copy of the judge's model per worker; the pairs, on disk if need be. Driver memory: independent
    of the number of pairs.
    """
    judge = run.settings.judge
    pairs = with_content_hashes(run.read(ITEM_PAIRS.name), run.read(ITEMS.name)).persist()
    if not judge.max_pairs:
        run.measure("pairs.judged", 0)
        return
    chosen_judge = judge_of(judge.method, bool(run.settings.endpoint.url))
    asked = local_judge(run, chosen_judge) if issubclass(chosen_judge, LocalJudge) else endpoint_judge(run)
    is_judged = F.col("judge") == asked.name
    # Pairs that stand from night to night are judged once; later nights judge only those whose contents changed.
    goes_on = run.lake.goes_on and not run.read(ITEM_PAIRS.name).where(is_judged).isEmpty()
    left = 0 if was_cut_off(run, asked.name) else judge.max_pairs
    to_judge = pairs.where(is_judged) if goes_on else pairs
    chosen = contents_to_judge(to_judge, verdicts_of(run, asked.name), left).persist()
    count = chosen.count()
    if count:
        judge_more(run, asked, chosen, count)
    run.measure("pairs.judged", count)
    verdicts = with_verdicts(pairs, verdicts_of(run, asked.name), asked.name, judge).persist()
    with run.step("write verdicts"):
        run.merge(ITEM_PAIRS, verdicts, compare=["verdict", "judge_score", "judge"])
    given = verdicts.where(F.col("verdict").isNotNull()).groupBy("source", "verdict").count()
    for source, verdict, total in given.collect():
        run.measure(f"pairs.{verdict}", total, source)
    for frame in (verdicts, chosen, pairs):
        frame.unpersist()


def verdicts_of(run: Run, judge: str) -> DataFrame:
    """The scores of a judge, by content hashes; empty if there are none."""
    written = PAIR_VERDICTS.name in run.outputs
    kept = run.read_back(PAIR_VERDICTS.name) if written else run.find(PAIR_VERDICTS.name)
    if kept is None:
        return frame_of(run.spark, [], "trigger_content STRING, target_content STRING, judge_score DOUBLE")
    return kept.where(F.col("judge") == judge).select(*CONTENTS, "judge_score")


def was_cut_off(run: Run, judge: str) -> bool:
    """Whether a run was cut off after it had written its verdicts, which then are tonight's.

    Otherwise a night that is killed again and again would judge, and pay an endpoint, each time.
    """
    kept = run.find(PAIR_VERDICTS.name)
    if kept is None:
        return False
    last = run.lake.ledger.last_done().get(run.job.name)
    since = EPOCH if last is None else last.ended_at
    return not kept.where((F.col("judge") == judge) & (F.col("judged_at") > F.lit(since))).isEmpty()


def check(settings: Settings) -> None:
    """Checks that the judge exists and that pairs can be rejected as the settings say.

    Raises:
        UserError: the judge does not exist, or its scores cannot be ranked although a share is to be rejected.
    """
    with user_mistakes():
        judge = judge_of(settings.judge.method, bool(settings.endpoint.url))
    if settings.judge.reject_by == "share" and not judge.ranks:
        raise UserError(
            f"judge.reject_by must be score if an endpoint answers {settings.judge.method}: all scores are 1 or -1, so"
            " a share of them would be chosen at random"
        )


JOB = Job(
    name="judge_pairs",
    steps=steps,
    sections=("judge", "language_model", "endpoint"),
    reads=("items",),
    updates=("item_pairs",),
    writes=("pair_verdicts",),
    makes=("language_model",),
    check=check,
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
