"""Builds ranking examples: for each target, features and the search results of the user's history before it (GSU)."""

from __future__ import annotations

import math

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.events import in_parts, name_examples, shape_events
from jobs.examples.popularity import with_popularity_before
from jobs.examples.search_index import item_rows, publish_search_index
from lake.command import main
from lake.declaration import Job
from lake.periods import Periods, split_periods
from lake.run import Run
from models.ranker.examples.targets import ExampleParameters
from schemas.errors import UserError
from schemas.examples import ranker_examples
from schemas.features import COUNTED
from schemas.names import SID_COLUMNS
from schemas.parameters import take
from schemas.ranking_sections import ExamplesSettings
from schemas.tables import INTERACTIONS, ITEM_EMBEDDINGS, ITEMS, SEMANTIC_IDS
from udfs.examples import SplitPlan, build_examples

INDEXES_KEPT = 2
"""Versions of the search index that are kept: the new one, and the one before for jobs that still read it."""


def parameters_of(settings: ExamplesSettings, has_impressions: bool) -> ExampleParameters:
    """The parameters of the examples; no negatives are sampled if the log has impressions."""
    gap = int(settings.attribution_minutes * 60_000_000)
    negatives = 0 if has_impressions else settings.negatives
    return take(ExampleParameters, settings, negatives=negatives, attribution_gap=gap)


def plan_of(periods: Periods, settings: ExamplesSettings) -> SplitPlan:
    """The time split in microseconds, and the share of each split that is kept."""
    return SplitPlan(
        train_from=periods.microseconds(periods.rank_from) if periods.rank_from else None,
        valid_from=periods.microseconds(periods.valid_from),
        test_from=periods.microseconds(periods.test_from),
        shares=(settings.train_share, settings.valid_share, settings.test_share),
    )


def searched(run: Run, interactions: DataFrame, items: DataFrame, periods: Periods, *, search_index: str) -> DataFrame:
    """The examples of all users with their histories, made on the executors.

    Args:
        run: the run.
        interactions: the log.
        items: rows of :func:`jobs.examples.search_index.item_rows`.
        periods: periods of the log.
        search_index: the shipped search index.

    Returns:
        The columns of ``ranker_examples`` without :data:`schemas.features.COUNTED`, and ``exclusive``.
    """
    settings, ranking = run.settings.examples, run.settings.ranking
    has_impressions = not interactions.where(F.col("action") == ranking.impression).isEmpty()
    make = build_examples(
        search_index, parameters_of(settings, has_impressions), plan_of(periods, settings), ranking.task_names
    )
    tasks = max(math.ceil(interactions.count() / settings.events_per_task), 2 * _cores(run))
    made = (
        in_parts(shape_events(interactions, items, ranking), settings.max_user_events)
        .repartition(tasks, "user_id", "part")
        .sortWithinPartitions("user_id", "part", "time", "item_row")
        .mapInArrow(make, example_schema(ranking.task_names))
    )
    columns = [name for name in ranker_examples(ranking.task_names).names if name not in COUNTED]
    return name_examples(made, items, [*columns, "exclusive"])


def steps(run: Run) -> None:
    """Numbers the items, ships the search index, and builds the examples on the executors.

    Executor memory: the search index, memory-mapped once per host, the events of one user, and the examples of at most
    ``examples.max_user_events`` of them. Driver memory: see :func:`jobs.examples.search_index.write_search_index`;
    ``examples.max_items`` bounds it.
    """
    interactions = run.read(INTERACTIONS.name)
    periods = split_periods(interactions, run.settings.split)
    positives = interactions.where(F.col("action").isin(run.settings.ranking.positive_actions))
    known, embeddings, codes = (run.read(table.name) for table in (ITEMS, ITEM_EMBEDDINGS, SEMANTIC_IDS))
    items = item_rows(known, embeddings, codes, positives, periods=periods)
    with run.step("ship the search index"):
        search_index = run.lake.artifacts.ship(publish_search_index(run, items, positives, periods))
    examples = searched(run, interactions, items, periods, search_index=search_index).persist()
    with run.step("search histories"):
        counts = measure_examples(run, examples)
    _refuse_empty_splits(counts, periods)
    _refuse_one_class(run)
    contract = ranker_examples(run.settings.ranking.task_names)
    with run.step("write ranker_examples"):
        rows = with_counts(examples, positives, items, 2 * _cores(run)).select(*contract.names)
        # Sorted by hash, so that a reader of a few row groups sees mixed users and times.
        run.overwrite(contract, rows.sortWithinPartitions("example_id"))
    run.prune("search_index", INDEXES_KEPT)
    for frame in (examples, items):
        frame.unpersist()


def with_counts(examples: DataFrame, positives: DataFrame, items: DataFrame, parts: int) -> DataFrame:
    """Adds :data:`schemas.features.COUNTED` to the examples.

    An example has some kilobytes, so it is shuffled only once, and the counts are made from a few of its columns.

    Args:
        examples: the examples without the counts.
        positives: the positive events of the log.
        items: rows of :func:`jobs.examples.search_index.item_rows`.
        parts: number of partitions of the result.
    """
    narrow = examples.select("example_id", "item_id", "event_time", *SID_COLUMNS)
    counts = with_popularity_before(narrow, positives, items).select("example_id", *COUNTED)
    wide, counts = (rows.repartition(parts, "example_id") for rows in (examples, counts))
    return wide.join(counts, "example_id", "inner")


def _cores(run: Run) -> int:
    return run.spark.sparkContext.defaultParallelism


def example_schema(tasks: list[str]) -> str:
    """Schema of :func:`udfs.examples.build_examples`: columns of the table, with item row and key instead of ids."""
    columns = [
        f"{c.name} {c.type}"
        for c in ranker_examples(tasks).columns
        if c.name not in {"example_id", "item_id", "user_id", *COUNTED}
    ]
    return ", ".join(["user_id STRING", "item_row LONG", "key LONG", *columns, "exclusive INT"])


def measure_examples(run: Run, examples: DataFrame) -> dict[str, int]:
    """Measures number of examples, share of positives and length of histories by split.

    ``exclusive_rate`` is the share of found events that a search by category and a search by item id, each for the same
    number of latest events, would not have found (QARM V2 reports 58 to 65 % against search by learned ids).

    Returns:
        Number of examples by split.
    """
    rows = examples.groupBy("split").agg(
        F.count("*").alias("examples"),
        F.countDistinct("user_id").alias("users"),
        F.avg("history_length").alias("history_length"),
        F.avg("found_length").alias("found_length"),
        (F.sum("exclusive") / F.sum("found_length")).alias("exclusive_rate"),
        *(F.avg(f"label_{task}").alias(f"{task}.positive_share") for task in run.settings.ranking.task_names),
    )
    counts = {}
    for row in rows.collect():
        values = row.asDict()
        split = values.pop("split")
        counts[split] = values["examples"]
        for name, value in values.items():
            run.measure(name if "." in name else f"examples.{name}", value, split)
    return counts


def _refuse_empty_splits(counts: dict[str, int], periods: Periods) -> None:
    empty = [split for split in ("train", "valid", "test") if not counts.get(split)]
    if empty:
        raise UserError(
            f"no {empty[0]} examples: train ends {periods.valid_from}, test begins {periods.test_from};"
            " compare ranking.tasks with the log's actions, and check the shares under split and examples"
        )


def _refuse_one_class(run: Run) -> None:
    """Training needs both classes in the train split, and early stopping needs them in the valid split."""
    for m in run.measurements:
        task, _, number = m.name.rpartition(".")
        if number == "positive_share" and m.slice != "test" and m.value in (0, 1):
            raise UserError(
                f"the {m.slice} examples of task {task} are all positive or all negative; each period needs"
                " impressions, if the log has any, and positive actions of ranking.tasks for each task"
            )


JOB = Job(
    name="build_examples",
    steps=steps,
    sections=("examples", "split", "ranking"),
    reads=("interactions", "items", "item_pairs", "item_embeddings", "semantic_ids"),
    writes=("ranker_examples",),
    makes=("search_index",),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
