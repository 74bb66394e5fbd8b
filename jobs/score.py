"""Scores users' candidates with the ranker and ranks them; what only depends on the user is computed once."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.examples.events import shape_events
from jobs.examples.popularity import with_popularity_before
from jobs.examples.requests import ranked, read_candidates, with_events
from jobs.examples.search_index import ITEM_ROWS
from jobs.training.rankers import AGAIN, trained_with, use_rankers
from lake.artifacts import Artifact
from lake.command import main
from lake.declaration import Job, Option
from lake.inputs.options import format_option, rename_option
from lake.run import Run
from models.ranker.baseline import RANKER
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import ExampleParameters
from models.ranker.serving.items import holds_table
from schemas.errors import UserError
from schemas.features import COUNTED
from schemas.names import SID_COLUMNS
from schemas.ranking_sections import ScoreSettings
from schemas.settings import Settings
from schemas.tables import INTERACTIONS, candidate_scores
from udfs.score_candidates import score_candidates

log = logging.getLogger("qarm")


def index_of(run: Run, ranker: Artifact) -> Artifact:
    """The search index that a ranker was trained with, if candidates can be scored by it.

    Raises:
        UserError: the index does not exist any more, an earlier qarm made it, or the settings have other tasks.
    """
    index = trained_with(ranker, run.artifact)
    needed = {ITEM_ROWS, *(f"{name}.npy" for name in SearchIndex.__annotations__)}
    if missing := sorted(needed - set(index.files)):
        raise UserError(f"{index.version} was made by an earlier qarm, without {missing[0]}; {AGAIN}")
    ranking = run.settings.ranking
    tasks = json.loads((run.lake.artifacts.fetch(ranker) / f"{RANKER}.json").read_text(encoding="utf-8"))["tasks"]
    if tasks != ranking.task_names or index.card["ranking"] != ranking.model_dump():
        raise UserError(f"ranking: the ranker was trained with other tasks or actions; {AGAIN}")
    return index


def moment_of(settings: ScoreSettings, interactions: DataFrame) -> Column:
    """The time of candidates without as_of: ``score.as_of``, or just after the last event of the log."""
    if settings.as_of:
        return F.lit(settings.as_of).cast("timestamp")
    last = interactions.agg(F.unix_micros(F.max("event_time"))).collect()[0][0]
    return F.timestamp_micros(F.lit(last + 1))


def scored(
    run: Run, known: DataFrame, items: DataFrame, positives: DataFrame, *, made: tuple[Artifact, Artifact]
) -> DataFrame:
    """The scores of all candidates, made on the executors.

    Args:
        run: the run.
        known: user_id, item_id, as_of, item_row and codes of the candidates; persisted.
        items: item_id, item_row and codes of the search index.
        positives: positive events of the log.
        made: the rankers, and the search index that they were trained with.

    Returns:
        user_id, item_id, as_of, and one score per task.
    """
    settings = run.settings.score
    parameters = ExampleParameters(**made[1].card["examples"], negatives=0, attribution_gap=0)
    counted = with_popularity_before(known.withColumnRenamed("as_of", "event_time"), positives, items)
    candidates = counted.select("user_id", "item_id", "item_row", F.unix_micros("event_time").alias("time"), *COUNTED)
    events = shape_events(positives, items, run.settings.ranking)
    rankers_at, index_at = (run.lake.artifacts.ship(artifact) for artifact in made)
    score = score_candidates(rankers_at, RANKER, index_at, parameters)
    scores = [f"score_{task} FLOAT" for task in run.settings.ranking.task_names]
    tasks = max(
        math.ceil(known.count() / settings.candidates_per_task), 2 * run.spark.sparkContext.defaultParallelism
    )  # fmt: skip
    return (
        with_events(candidates, events, settings.max_user_candidates)
        .repartition(tasks, "user_id", "part")
        .sortWithinPartitions("user_id", "part", "time", "item_row", "labels")
        .mapInArrow(score, ", ".join(["user_id STRING", "item_id STRING", "as_of TIMESTAMP", *scores]))
    )


def steps(run: Run) -> None:
    """Reads candidates, scores them on the executors, ranks them, and writes the table.

    Executor memory: the ranker, the search index and the table of items, memory-mapped once per host, the events of one
    user, and about ``score.max_user_candidates`` candidates with their features. Driver memory: independent of the
    number of rows.
    """
    settings, tasks = run.settings.score, run.settings.ranking.task_names
    given = read_candidates(run.spark, settings)
    rankers = use_rankers(run)
    index = index_of(run, rankers)
    if not holds_table(rankers.files, RANKER):
        log.info("score: %s holds no table of items, so each candidate's part is computed", rankers.version)
    interactions = run.read(INTERACTIONS.name)
    positives = interactions.where(F.col("action").isin(run.settings.ranking.positive_actions))
    items = run.spark.read.parquet(f"{index.url}/{ITEM_ROWS}")
    checked = (
        given.withColumn("as_of", F.coalesce("as_of", moment_of(settings, interactions)))
        .join(items, "item_id", "left")
        .withColumn("complaint", F.coalesce("complaint", F.when(F.col("item_row").isNull(), "unknown_item")))
    )
    with run.step("read candidates"):
        counts = _refuse_unusable(checked, settings.candidates)
    codes = {code: F.coalesce(code, F.lit(-1)) + 1 for code in SID_COLUMNS}  # 0 = none, as in the examples
    taken = checked.where("complaint IS NULL").drop("complaint").withColumns(codes)
    known = taken.dropDuplicates(["user_id", "item_id", "as_of"]).persist()
    with run.step("score"):
        scores = scored(run, known, items, positives, made=(rankers, index)).persist()
        run.measure("score.candidates", scores.count())
    _measure(run, counts, known, positives)
    with run.step("write candidate_scores"):
        named = {"ranker_version": F.lit(rankers.version), "run_id": F.lit(run.run_id)}
        run.overwrite(candidate_scores(tasks), ranked(scores, f"score_{tasks[0]}").withColumns(named))
    for frame in (known, scores):
        frame.unpersist()


def _refuse_unusable(checked: DataFrame, path: str) -> Mapping[str | None, int]:
    counts: dict[str | None, int] = dict(checked.groupBy("complaint").count().collect())
    if not counts:
        raise UserError(f"--candidates {path}: the input has no rows")
    if None not in counts:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items(), key=str))
        raise UserError(f"--candidates {path}: all {sum(counts.values())} rows are rejected: {reasons}")
    return counts


def _measure(run: Run, counts: Mapping[str | None, int], known: DataFrame, positives: DataFrame) -> None:
    users = known.select("user_id").distinct()
    run.measure("score.users", users.count())
    run.measure("score.users_without_history", users.join(positives, "user_id", "left_anti").count())
    run.measure("score.duplicates_folded", counts[None] - known.count())
    for reason, count in counts.items():
        if reason is not None:
            run.measure(f"score.rejected.{reason}", count)


def source_files(settings: Settings) -> list[str]:
    """Path of the candidates, if it is set."""
    return [settings.score.candidates] if settings.score.candidates else []


JOB = Job(
    name="score",
    steps=steps,
    sections=("score", "ranking"),
    reads=("interactions",),
    writes=("candidate_scores",),
    uses=("ranker", "search_index"),
    nightly=False,
    source_files=source_files,
    examples=(
        "--candidates candidates.parquet",
        "--candidates today.csv --as-of 2025-03-31T06:00:00Z",
    ),
    options=(
        Option(
            flags=("--candidates",),
            help="path of the candidates: user_id, item_id, optionally as_of",
            metavar="PATH",
            setting="score.candidates",
        ),
        Option(
            flags=("--as-of",),
            help="time, UTC, at which candidates without as_of are ranked",
            metavar="TIME",
            setting="score.as_of",
        ),
        format_option("--format", "score.files.format", "the candidates"),
        rename_option("score"),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
