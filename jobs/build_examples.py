"""Builds ranking examples: for each target, features and the search results of the user's history before it (GSU)."""

from __future__ import annotations

import math

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.earlier import Earlier, earlier, makers
from jobs.examples.events import in_parts, name_examples, shape_events
from jobs.examples.frame import Frame, first_frame, next_frame, with_split
from jobs.examples.popularity import with_popularity_before
from jobs.examples.publishing import publish_search_index
from jobs.examples.search_index import ITEM_ROWS, item_rows
from lake.command import main
from lake.declaration import Job
from lake.growth import LogSize, size_of
from lake.periods import Periods, split_periods
from lake.run import Run
from lake.side_by_side import side_by_side
from models.ranker.examples.pools import pools_of
from models.ranker.examples.targets import ExampleParameters
from schemas.errors import UserError, user_mistakes
from schemas.examples import label_columns, ranker_examples
from schemas.features import COUNTED
from schemas.names import SID_COLUMNS
from schemas.parameters import take
from schemas.ranking_sections import ExamplesSettings
from schemas.settings import Settings
from schemas.tables import INTERACTIONS, ITEM_EMBEDDINGS, ITEMS, SEMANTIC_IDS
from udfs.examples import SplitPlan, build_examples

INDEXES_KEPT = 2
"""Versions of the search index that are kept: the new one, and the one before for jobs that still read it."""


def parameters_of(settings: ExamplesSettings, has_impressions: bool) -> ExampleParameters:
    """The parameters of the examples; no negatives are sampled if the log has impressions."""
    gap = int(settings.attribution_minutes * 60_000_000)
    negatives = 0 if has_impressions else settings.negatives
    return take(ExampleParameters, settings, negatives=negatives, attribution_gap=gap)


def shares_of(settings: ExamplesSettings) -> tuple[float, float, float]:
    """The shares of the train, the validation and the test examples that are kept."""
    return settings.train_share, settings.valid_share, settings.test_share


def plan_of(frame: Frame, settings: ExamplesSettings) -> SplitPlan:
    """The time split in microseconds, the share of each split that is kept, and the blocks of days."""
    periods = frame.periods
    return SplitPlan(
        train_from=periods.microseconds(periods.rank_from) if periods.rank_from else None,
        valid_from=periods.microseconds(periods.valid_from),
        test_from=periods.microseconds(periods.test_from),
        shares=shares_of(settings),
        blocks=frame.starts(frame.blocks),
    )


def searched(run: Run, interactions: DataFrame, items: DataFrame, frame: Frame, *, search_index: str) -> DataFrame:
    """The examples of new events with their histories, made on the executors.

    Args:
        run: the run.
        interactions: the log, or the events of all users with new events and ``new``.
        items: rows of :func:`jobs.examples.search_index.item_rows`.
        frame: what tonight's examples stand on.
        search_index: the shipped search index.

    Returns:
        The columns of ``ranker_examples`` without :data:`schemas.features.COUNTED`, and ``exclusive``.
    """
    settings, ranking = run.settings.examples, run.settings.ranking
    has_impressions = not run.read(INTERACTIONS.name).where(F.col("action") == ranking.impression).isEmpty()
    make = build_examples(
        search_index, parameters_of(settings, has_impressions), plan_of(frame, settings), ranking.task_names
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
    """Extends the search index of the night before, ships it, and builds the examples of new events on the executors.

    An example is point in time, so those of earlier nights stay as they are. All examples are built if there is no
    night to go on from, see :func:`jobs.examples.earlier.earlier`.

    Executor memory: the search index, memory-mapped once per host, the events of one user, and the examples of at most
    ``examples.max_user_events`` of them. Driver memory: see :func:`jobs.examples.search_index.write_search_index`;
    ``examples.max_items`` bounds it.
    """
    interactions = run.read(INTERACTIONS.name)
    positives = interactions.where(F.col("action").isin(run.settings.ranking.positive_actions))
    made_by, size, periods = side_by_side(
        run.spark,
        lambda: makers(run),
        lambda: size_of(interactions),
        lambda: split_periods(interactions, run.settings.split),
    )
    before = earlier(run, made_by)
    frame = _frame(run, before, periods, size)
    items = _numbered(run, positives, frame, before)
    with run.step("ship the search index"):
        index = publish_search_index(run, items, positives, frame=frame, size=size, before=before, made_by=made_by)
        shipped = run.lake.artifacts.ship(index)
    events = interactions if before is None else before.events.persist()  # few users' events, read three times
    examples = searched(run, events, items, frame, search_index=shipped).persist()
    with run.step("search histories"):
        measure_examples(run, examples, frame)
    contract = ranker_examples(run.settings.ranking.task_names)
    _refuse_empty_splits(_counts(examples, None if before is None else run.find(contract.name), frame), frame.periods)
    if before is None:
        _refuse_one_class(run)
    with run.step("write ranker_examples"):
        rows = with_counts(examples, positives, items, frame, events=size.events, parts=2 * _cores(run))
        rows = rows.select(*contract.names)
        # Sorted by hash, so that a reader of a few row groups sees mixed users and times.
        rows = rows.sortWithinPartitions("days_from", "example_id")
        if before is None:
            run.overwrite(contract, rows)
        else:
            _add(run, rows.persist())
    run.prune("search_index", INDEXES_KEPT)
    for frame_of_rows in (examples, items):
        frame_of_rows.unpersist()


def _frame(run: Run, before: Earlier | None, periods: Periods, size: LogSize) -> Frame:
    last_day = size.last_day
    assert last_day is not None, "a log without events has no periods"
    if before is None:
        return first_frame(periods, last_day, run.run_id, shares_of(run.settings.examples))
    return next_frame(before.frame, periods, before.last_day, last_day)


def _numbered(run: Run, positives: DataFrame, frame: Frame, before: Earlier | None) -> DataFrame:
    """The items, which keep their numbers of the night before."""
    known, embeddings, codes = (run.read(table.name) for table in (ITEMS, ITEM_EMBEDDINGS, SEMANTIC_IDS))
    numbers = None if before is None else run.spark.read.parquet(f"{before.index.url}/{ITEM_ROWS}")
    return item_rows(known, embeddings, codes, positives, frame=frame, before=numbers)


def _add(run: Run, rows: DataFrame) -> None:
    """Adds examples; those that are there already stay, unless a late event gave them another label.

    Only a night that was cut short, or events of a day that was taken in before, touch blocks that hold examples.
    """
    tasks = run.settings.ranking.task_names
    contract = ranker_examples(tasks)
    days = [row[0] for row in rows.select("days_from").distinct().collect()]
    if run.read(contract.name).where(F.col("days_from").isin(days)).isEmpty():
        return run.append(contract, rows)
    labels = [column.name for column in label_columns(tasks)]
    return run.merge(contract, rows, compare=labels, within="days_from")


def _counts(examples: DataFrame, earlier_ones: DataFrame | None, frame: Frame) -> dict[str, int]:
    """Number of examples by split, of tonight and of earlier nights."""
    days = examples.select("days_from")
    all_days = days if earlier_ones is None else days.unionByName(earlier_ones.select("days_from"))
    return dict(with_split(all_days, frame.periods).groupBy("split").count().collect())


def with_counts(
    examples: DataFrame, positives: DataFrame, items: DataFrame, frame: Frame, *, events: int, parts: int
) -> DataFrame:
    """Adds :data:`schemas.features.COUNTED` to the examples, and gathers them by blocks of days.

    An example has some kilobytes, so it is shuffled only once, and the counts are made from a few of its columns. The
    first block, with the train period of the first night, is spread over all partitions; a later one lies in few of
    them, so that its files are few.

    Args:
        examples: the examples without the counts; persisted.
        positives: the positive events of the log.
        items: rows of :func:`jobs.examples.search_index.item_rows`.
        frame: what tonight's examples stand on.
        events: number of events of the log.
        parts: number of partitions of the result.
    """
    narrow = examples.select("example_id", "item_id", "event_time", "days_from", *SID_COLUMNS)
    counts = with_popularity_before(narrow, positives, items, rows=events + narrow.count())
    counts = counts.select("example_id", "days_from", *COUNTED)
    pieces = F.when(F.col("days_from") <= F.lit(frame.blocks[0]), 8 * parts).otherwise(
        max(1, parts // len(frame.blocks))
    )
    piece = F.pmod(F.xxhash64("example_id"), pieces)
    place = ("days_from", "piece")
    wide, counts = (rows.withColumn("piece", piece).repartition(parts, *place) for rows in (examples, counts))
    return wide.join(counts, [*place, "example_id"], "inner")


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


def measure_examples(run: Run, examples: DataFrame, frame: Frame) -> None:
    """Measures number of examples, share of positives and length of histories by split.

    ``exclusive_rate`` is the share of found events that a search by category and a search by item id, each for the same
    number of latest events, would not have found (QARM V2 reports 58 to 65 % against search by learned ids).
    """
    rows = (
        with_split(examples, frame.periods)
        .groupBy("split")
        .agg(
            F.count("*").alias("examples"),
            F.countDistinct("user_id").alias("users"),
            F.avg("history_length").alias("history_length"),
            F.avg("found_length").alias("found_length"),
            (F.sum("exclusive") / F.sum("found_length")).alias("exclusive_rate"),
            *(F.avg(f"label_{task}").alias(f"{task}.positive_share") for task in run.settings.ranking.task_names),
        )
    )
    for row in rows.collect():
        values = row.asDict()
        split = values.pop("split")
        for name, value in values.items():
            run.measure(name if "." in name else f"examples.{name}", value, split)


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


def check_pools(settings: Settings) -> None:
    """Refuses pools of negatives that there are not.

    Raises:
        UserError: there is no pool of a name.
    """
    with user_mistakes():
        pools_of(settings.examples.negatives_from)


JOB = Job(
    name="build_examples",
    steps=steps,
    check=check_pools,
    sections=("examples", "split", "ranking"),
    reads=("interactions", "items", "item_pairs", "item_embeddings", "semantic_ids"),
    writes=("ranker_examples",),
    makes=("search_index",),
    consults=("runs",),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
