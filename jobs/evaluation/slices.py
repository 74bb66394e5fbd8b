"""The slices of the examples that evaluate measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from models.ranker.baselines import COLUMNS

COLD_EVENTS = 5
"""An item with fewer positive events in the train period is cold."""

HISTORY_FROM = (0, 10, 50, 200, 1000)
"""Where the slices by number of the user's earlier positive events begin."""

AGE_FROM = (0, 7, 28, 91, 365)
"""Where the slices by days since the item's first event begin."""

CATEGORIES = 12
"""Number of categories with slices of their own, those with the most test examples; the others are one slice."""

OTHER = "other categories"

SPLITS = ("valid", "test", "test/cold_items", "test/known_items")
"""The slices of every evaluation."""

BREAKDOWNS = {
    "history_length": "by the length of the user's history, in events",
    "item_age_days": "by the age of the item, in days since its first event",
    "category": "by the category of the item",
}
"""The groups of slices ``test/GROUP/NAME``, and what they are called on the page."""


def with_facts(
    examples: DataFrame, interactions: DataFrame, *, in_train: Column, items: DataFrame, tasks: Sequence[str]
) -> DataFrame:
    """Adds what slices and column baselines need.

    Args:
        examples: scored examples.
        interactions: the log.
        in_train: whether an event is a positive one of the train period.
        items: item_id, category.
        tasks: names of the tasks.

    Returns:
        The examples with ``train_events`` (the item's positives in the train period), ``cold``, ``first_event``
        (the time of the item's first event), ``category``, and the scores of the column baselines.
    """
    counts = interactions.groupBy("item_id").agg(
        F.sum(in_train.cast("double")).alias("train_events"), F.min("event_time").alias("first_event")
    )
    joined = examples.join(counts, "item_id", "left").fillna(0.0, ["train_events"])
    joined = joined.join(items.select("item_id", "category"), "item_id", "left")
    scores = {f"{baseline.name}_{task}": F.col(baseline.column) for baseline in COLUMNS.values() for task in tasks}
    return joined.withColumns(scores).withColumn("cold", F.col("train_events") < COLD_EVENTS)


@dataclass(frozen=True)
class Sliced:
    """Examples in the slices in which the ranker is measured beside its baselines.

    Attributes:
        names: names of the slices.
        rows: labels, scores, and ``slices``: places in ``names`` of the slices that an example is in.
    """

    names: tuple[str, ...]
    rows: DataFrame


def after_tasks(test: DataFrame, follows: Mapping[str, str], rankers: Sequence[str]) -> dict[str, DataFrame]:
    """The slices of tasks that follow another task: the test examples that are positive for the other task.

    In such a slice, a ranker's score of the task is the probability given the other task (CVR).

    Args:
        test: labels and scores of the test examples.
        follows: tasks, each with the task that it follows.
        rankers: names of models whose scores are probabilities.
    """
    slices = {}
    for before in sorted(set(follows.values())):
        given = {
            f"{model}_{task}": F.col(f"{model}_{task}").cast("double") / F.col(f"{model}_{before}")
            for task in follows
            if follows[task] == before
            for model in rankers
        }
        slices[f"test/after_{before}"] = test.where(F.col(f"label_{before}") == 1).withColumns(given)
    return slices


def sliced(scored: DataFrame, after: Mapping[str, DataFrame]) -> Sliced:
    """All examples with the slices that each is in; one that comes after a task is there once more.

    Args:
        scored: labels, scores, split and ``cold``.
        after: result of :func:`after_tasks`.
    """
    valid, test, cold, known = map(F.lit, range(len(SPLITS)))
    of_test = F.when(F.col("cold"), F.array(test, cold)).otherwise(F.array(test, known))
    every = scored.withColumn("slices", F.when(F.col("split") == "test", of_test).otherwise(F.array(valid)))
    for place, rows in enumerate(after.values(), len(SPLITS)):
        every = every.unionByName(rows.withColumn("slices", F.array(F.lit(place))))
    return Sliced((*SPLITS, *after), every)


def breakdowns(test: DataFrame) -> Column:
    """All slices of a test example but those of :func:`after_tasks`, as an array of names.

    They are ``test``, cold or known items, and one of each group of :data:`BREAKDOWNS`, e.g.
    ``test/history_length/10-49``, ``test/item_age_days/0-6`` and ``test/category/NAME``. Driver memory:
    :data:`CATEGORIES` names.

    Args:
        test: the test examples with the facts of :func:`with_facts`, ``history_length`` and ``event_time``.
    """
    named = F.coalesce(F.substring("category", 1, 80), F.lit("no category"))
    counts = test.groupBy(named.alias("name")).count().orderBy(F.desc("count"), "name").limit(CATEGORIES).collect()
    names = {"category": F.when(named.isin([row["name"] for row in counts]), named).otherwise(F.lit(OTHER))}
    names["history_length"] = _range(F.col("history_length"), HISTORY_FROM)
    names["item_age_days"] = _range(F.greatest(F.datediff("event_time", "first_event"), F.lit(0)), AGE_FROM)
    return F.array(
        F.lit("test"),
        F.when(F.col("cold"), "test/cold_items").otherwise("test/known_items"),
        *(F.concat(F.lit(f"test/{group}/"), names[group]) for group in BREAKDOWNS),
    )


def _range(value: Column, starts: Sequence[int]) -> Column:
    """The name of the range that a number lies in, e.g. ``10-49``; the last range has no end."""
    chosen = F.lit(f"{starts[-1]}+")
    for start, following in reversed([*pairwise(starts)]):
        chosen = F.when(value < following, f"{start}-{following - 1}").otherwise(chosen)
    return chosen
