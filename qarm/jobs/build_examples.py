"""Builds point-in-time ranking examples with the lifelong history already searched (the GSU)."""

from __future__ import annotations

import math
import tempfile
from functools import reduce
from pathlib import Path

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from qarm.lake.artifacts import Artifact
from qarm.lake.command import main
from qarm.lake.indexing import with_row_number
from qarm.lake.job import Job, Run
from qarm.lake.periods import Periods, split_periods
from qarm.models.ranker.examples import ExampleParameters
from qarm.schemas.errors import UserError
from qarm.schemas.sections import ExamplesSettings, RankingSettings
from qarm.schemas.tables import INTERACTIONS, ITEM_EMBEDDINGS, SEMANTIC_IDS, ranker_examples
from qarm.udfs.arrays import column_matrix
from qarm.udfs.examples import SplitPlan, build_examples

CATALOGUES_KEPT = 2
"""Versions of the catalogue that stay: tonight's, and last night's for whoever still reads it."""

FIRST_INDEX = 2
"""Item index 0 is padding, 1 is an item that the train period does not know well enough."""


def item_rows(embeddings: DataFrame, codes: DataFrame, positives: DataFrame, periods: Periods) -> DataFrame:
    """Every embedded item with its codes and its popularity in each period, numbered by ``item_row``."""
    in_test = F.col("event_date") >= F.lit(periods.test_from)
    in_period = (periods.in_train, ~periods.in_train & ~in_test, in_test)
    counts = F.array(*(F.count(F.when(condition, 1)) for condition in in_period))
    popularity = positives.groupBy("item_id").agg(counts.alias("popularity"))
    rows = (
        embeddings.select("item_id", "search_embedding")
        .join(codes.select("item_id", "sid_1", "sid_2", "sid_3"), "item_id", "left")
        .join(popularity, "item_id", "left")
        .withColumn("popularity", F.coalesce("popularity", F.array(*[F.lit(0).cast("long")] * 3)))
    )
    return with_row_number(rows, "item_row", "item_id")


def write_catalogue(rows: DataFrame, min_item_events: int, folder: Path) -> dict[str, object]:
    """Writes what the executors need of every item as memory-mappable arrays, ordered by ``item_row``.

    Driver memory: about three times ``search_dim * 4 + 60`` bytes an item; the caller has checked their number.

    Returns:
        Sizes of the ranker's tables: ``items`` and ``codes``.
    """
    table = rows.toArrow().sort_by("item_row")
    popularity = column_matrix(table["popularity"])
    in_train = popularity[:, 0]
    known = in_train >= min_item_events
    # Index by popularity, so that hot rows of the item table lie together.
    order = np.lexsort((np.arange(len(known)), -in_train))
    index = np.ones(len(known), np.int32)
    index[order] = np.where(known[order], FIRST_INDEX + np.arange(len(known)), 1)
    codes = np.stack([table[f"sid_{i}"].fill_null(-1).to_numpy() + 1 for i in (1, 2, 3)], axis=1).astype(np.int32)
    np.save(folder / "search_embeddings.npy", column_matrix(table["search_embedding"]))
    np.save(folder / "codes.npy", codes)
    np.save(folder / "item_index.npy", index)
    np.save(folder / "popularity.npy", popularity)
    return {"items": FIRST_INDEX + int(known.sum()), "codes": [int(level) + 1 for level in codes.max(0)]}


def shape_events(interactions: DataFrame, item_rows: DataFrame, ranking: RankingSettings) -> DataFrame:
    """Events that matter for ranking, as the examples' function takes them.

    No array travels with an event: an item is the number of its row in the catalogue.
    """
    labels = [
        F.when(F.col("action").isin(actions), F.lit(1 << bit)).otherwise(F.lit(0))
        for bit, actions in enumerate(ranking.tasks.values())
    ]
    either: Column = reduce(lambda a, b: a.bitwiseOR(b), labels)
    return (
        interactions.where(F.col("action").isin([*ranking.positive_actions, ranking.impression]))
        .join(item_rows.select("item_id", "item_row"), "item_id", "inner")
        .select(
            "user_id",
            "item_row",
            F.unix_micros("event_time").alias("time"),
            either.cast("long").alias("labels"),
            (F.col("action") == ranking.impression).alias("impression"),
            F.xxhash64("user_id", "item_id", "event_time").alias("key"),
        )
    )


def name_examples(examples: DataFrame, item_rows: DataFrame, columns: list[str]) -> DataFrame:
    """Gives examples the item's id and an id of their own."""
    example_id = F.concat_ws("-", F.lower(F.hex("key")), F.lower(F.hex("item_row")), F.md5("user_id"))
    return (
        examples.join(item_rows.select("item_id", "item_row"), "item_row", "inner")
        .withColumn("example_id", F.substring(F.sha2(example_id, 256), 1, 32))
        .select(*columns)
    )


def parameters_of(settings: ExamplesSettings, has_impressions: bool) -> ExampleParameters:
    """The examples' part of the settings; a log with impressions needs no sampled negatives."""
    return ExampleParameters(
        recent_length=settings.recent_length,
        found_length=settings.found_length,
        negatives=0 if has_impressions else settings.negatives,
        negative_power=settings.negative_power,
        attribution_gap=int(settings.attribution_minutes * 60_000_000),
    )


def plan_of(periods: Periods, settings: ExamplesSettings) -> SplitPlan:
    """The time split in microseconds, with the shares kept."""
    return SplitPlan(
        valid_from=periods.microseconds(periods.valid_from),
        test_from=periods.microseconds(periods.test_from),
        shares=(settings.train_share, settings.valid_share, settings.test_share),
    )


def steps(run: Run) -> None:
    """Numbers the items, ships their vectors, builds every user's examples on the executors.

    Executor memory: the catalogue, memory-mapped once a host, and one user's events. Driver memory: see
    :func:`write_catalogue`; ``examples.max_items`` bounds it.
    """
    settings, ranking = run.settings.examples, run.settings.ranking
    interactions = run.read(INTERACTIONS.name)
    periods = split_periods(interactions, run.settings.split)
    positives = interactions.where(F.col("action").isin(ranking.positive_actions))
    items = item_rows(run.read(ITEM_EMBEDDINGS.name), run.read(SEMANTIC_IDS.name), positives, periods)
    with run.step("ship the catalogue"):
        catalogue = publish_catalogue(run, items)
        shipped = run.lake.artifacts.ship(catalogue)
    has_impressions = not interactions.where(F.col("action") == ranking.impression).isEmpty()
    events = shape_events(interactions, items, ranking)
    tasks = math.ceil(interactions.count() / settings.events_per_task)
    cores = run.spark.sparkContext.defaultParallelism
    contract = ranker_examples(ranking.task_names)
    built = (
        events.repartition(max(tasks, 2 * cores), "user_id")
        .sortWithinPartitions("user_id", "time", "item_row")
        .mapInArrow(
            build_examples(
                shipped, parameters_of(settings, has_impressions), plan_of(periods, settings), ranking.task_names
            ),
            example_schema(ranking.task_names),
        )
    )
    # Rows in hash order: a reader that takes a few row groups at a time then sees users and times mixed.
    examples = (
        name_examples(built, items, contract.names)
        .repartition(2 * cores, "example_id")
        .sortWithinPartitions("example_id")
    )
    examples = examples.persist()
    with run.step("search histories"):
        counts = measure_examples(run, examples)
    _refuse_empty_splits(counts, periods)
    _refuse_one_class(run)
    with run.step("write ranker_examples"):
        run.overwrite(contract, examples)
    run.lake.artifacts.prune("catalogue", CATALOGUES_KEPT)
    for frame in (examples, items):
        frame.unpersist()


def publish_catalogue(run: Run, items: DataFrame) -> Artifact:
    """Publishes the catalogue of this run's tables.

    Raises:
        UserError: there are more items than ``examples.max_items``.
    """
    settings = run.settings.examples
    count = items.count()
    if count > settings.max_items:
        raise UserError(
            f"examples.max_items: {count} items, {settings.max_items} allowed; raise it with --driver-memory"
        )
    recipe = {name: run.version(name) for name in (INTERACTIONS.name, ITEM_EMBEDDINGS.name, SEMANTIC_IDS.name)}
    recipe |= {"min_item_events": str(settings.min_item_events), "split": run.settings.digest(["split", "ranking"])}
    with tempfile.TemporaryDirectory(prefix="qarm-") as folder:
        sizes = write_catalogue(items, settings.min_item_events, Path(folder))
        return run.publish("catalogue", Path(folder), recipe, **sizes)


def example_schema(tasks: list[str]) -> str:
    """What the examples' function gives: the table's columns, with item row and key in place of the ids."""
    columns = [
        f"{c.name} {c.type}"
        for c in ranker_examples(tasks).columns
        if c.name not in {"example_id", "item_id", "user_id"}
    ]
    return ", ".join(["user_id STRING", "item_row LONG", "key LONG", *columns])


def measure_examples(run: Run, examples: DataFrame) -> dict[str, int]:
    """Examples, positives and history per split."""
    rows = examples.groupBy("split").agg(
        F.count("*").alias("examples"),
        F.countDistinct("user_id").alias("users"),
        F.avg("history_length").alias("history_length"),
        F.avg("found_length").alias("found_length"),
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
            " check ranking.tasks against the log's actions, and the shares under split and examples"
        )


def _refuse_one_class(run: Run) -> None:
    """Without both classes the train split teaches nothing, and the valid split stops nothing."""
    for m in run.measurements:
        task, _, number = m.name.rpartition(".")
        if number == "positive_share" and m.slice != "test" and m.value in (0, 1):
            raise UserError(
                f"the {m.slice} examples of task {task} are all of one class; a log with impressions needs them in"
                " every period, and each task needs its positive actions there"
            )


JOB = Job(
    "build_examples",
    steps,
    sections=("examples", "split", "ranking"),
    reads=("interactions", "item_embeddings", "semantic_ids"),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
