"""Scores users' candidates with the ranker and ranks them; what only depends on the user is computed once."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.requests import ranked, read_candidates
from jobs.examples.search_index import ITEM_ROWS
from jobs.scoring.candidates import index_of, scored
from jobs.scoring.moment import moment_of
from jobs.training.rankers import published_rankers
from lake.command import main
from lake.declaration import Job, Option
from lake.inputs.options import format_option, rename_option
from lake.run import Run
from models.ranker.baseline import RANKER
from models.ranker.serving.items import holds_table
from schemas.errors import UserError
from schemas.names import SID_COLUMNS
from schemas.settings import Settings
from schemas.tables import INTERACTIONS, candidate_scores

log = logging.getLogger("qarm")


def steps(run: Run) -> None:
    """Reads candidates, scores them on the executors, ranks them, and writes the table.

    Executor memory: the ranker, the search index and the table of items, memory-mapped once per host, the events of one
    user, and about ``score.max_user_candidates`` candidates with their features; events and candidates of one bucket of
    semantic IDs. Driver memory: independent of the number of rows.
    """
    settings, tasks = run.settings.score, run.settings.ranking.task_names
    given = read_candidates(run.spark, settings)
    rankers = run.artifact("ranker", published_rankers(run.lake).version)
    index = index_of(run, rankers)
    if not holds_table(rankers.files, RANKER):
        log.info("score: %s holds no table of items, so each candidate's part is computed", rankers.version)
    interactions = run.read(INTERACTIONS.name)
    positives = interactions.where(F.col("action").isin(run.settings.ranking.positive_actions))
    items = run.spark.read.parquet(f"{index.url}/{ITEM_ROWS}")
    checked = (
        given.withColumn("as_of", F.coalesce("as_of", moment_of(settings.as_of, interactions)))
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
