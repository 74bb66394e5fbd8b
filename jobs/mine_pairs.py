"""Mines item pairs from the fit period: item-to-item by Swing, user-to-item by a two-tower model or ALS."""

from __future__ import annotations

import logging
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.pairs.histories import capped_histories, item_codes, item_keys, positives_of, small_side
from jobs.pairs.item2item import bucket_count, by_bucket, swing_pairs, user_rows
from jobs.pairs.user2item import (
    als_vectors,
    events_in_order,
    item_features,
    triggers_of,
    two_tower_vectors,
    user2item_pairs,
)
from lake.command import main
from lake.declaration import Job
from lake.growth import grown_since
from lake.lake import Lake
from lake.ledger import RunRecord
from lake.periods import Periods, split_periods
from lake.run import Run
from schemas.errors import UserError
from schemas.tables import INTERACTIONS, ITEM_PAIRS, ITEMS

log = logging.getLogger("qarm")

ACTIONS_NAMED = 10
"""Actions of the log that a message names."""

PAIR_COLUMNS = ("trigger", "target", "score", "support")


def pair_counts(pairs: DataFrame, item_count: int) -> DataFrame:
    """Number of triggers, and number of pairs by the popularity of the target. It takes one shuffle.

    Args:
        pairs: trigger, target; numbers of items in the order of popularity.
        item_count: number of items.

    Returns:
        One row: triggers LONG; decile_1 to decile_10 LONG, the number of pairs whose target is in the least popular to
        the most popular tenth of the items.
    """
    decile = 10 - F.floor(F.col("target") * 10 / F.lit(item_count))
    names = {d: f"decile_{d}" for d in range(1, 11)}
    by_trigger = pairs.groupBy("trigger").agg(*(F.count_if(decile == d).alias(name) for d, name in names.items()))
    sums = (F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in names.values())
    return by_trigger.agg(F.count("*").alias("triggers"), *sums)


def with_item_ids(pairs: DataFrame, codes: DataFrame, count: int) -> DataFrame:
    """Replaces the item numbers of pairs by ids, ``trigger_item_id`` and ``target_item_id``."""
    for side in ("trigger", "target"):
        names = codes.select(F.col("item").alias(side), F.col("item_id").alias(f"{side}_item_id"))
        pairs = pairs.join(small_side(names, count), side, "inner")
    return pairs.drop("trigger", "target")


def not_judged(mined: DataFrame) -> DataFrame:
    """Adds empty verdicts, which ``judge_pairs`` fills in from the scores in ``pair_verdicts``."""
    empty = {"verdict": "string", "judge_score": "double", "judge": "string"}
    return mined.withColumns({name: F.lit(None).cast(kind) for name, kind in empty.items()})


def mine_item2item(run: Run, histories: DataFrame, codes: DataFrame, *, count: int, until: date) -> DataFrame:
    """Item-to-item pairs by Swing on the users' histories, persisted."""
    mine = run.settings.mine
    users = user_rows(histories, codes, count, mine, until=until).persist()
    buckets, total_users = bucket_count(users, count, mine.rows_per_task)
    pairs = swing_pairs(by_bucket(users, buckets), mine, total_users, buckets)
    return _of_source(run, "item2item", pairs)


def mine_user2item(run: Run, events: DataFrame, codes: DataFrame, *, count: int, keyed_items: DataFrame) -> DataFrame:
    """User-to-item pairs by the model of the settings, persisted."""
    settings = run.settings.mine.user2item
    contents = codes if run.settings.mine.exclude_same_content else codes.withColumn("content", F.col("item"))
    features = item_features(contents, keyed_items, settings).persist()
    with run.step(f"fit {settings.model}"):
        if settings.model == "als":
            vectors = als_vectors(events, features, settings)
        else:
            vectors = two_tower_vectors(run, events, features, codes, count=count)
    triggers = triggers_of(events, vectors, count, dim=settings.dim, window=settings.history)
    return _of_source(run, "user2item", user2item_pairs(triggers, settings))


def _of_source(run: Run, source: str, pairs: DataFrame) -> DataFrame:
    pairs = pairs.select(*PAIR_COLUMNS).persist()
    with run.step(f"pair {source}"):
        if not pairs.count():
            log.warning("mine_pairs: there are no %s pairs; lower mine.significance or the minima under mine", source)
    return pairs.withColumn("source", F.lit(source))


def measure_pairs(run: Run, pairs: DataFrame, source: str, item_count: int) -> None:
    """Measures the number of pairs and triggers of a source, and the share of pairs by the target's popularity."""
    counts = pair_counts(pairs, item_count).collect()[0].asDict()
    run.measure("pairs.triggers", counts.pop("triggers"), source)
    count = sum(counts.values())
    run.measure("pairs.count", count, source)
    for decile, held in counts.items() if count else ():
        run.measure("pairs.share_by_popularity", held / count, f"{source}/{decile}")


def _without_histories(run: Run, interactions: DataFrame, periods: Periods) -> UserError:
    """Why no user has a history: none of the log's actions is positive, or all users have too few items."""
    positive = run.settings.ranking.positive_actions
    if interactions.where(F.col("action").isin(positive)).isEmpty():
        by_count = interactions.groupBy("action").count().orderBy(F.desc("count"), "action")
        counts = by_count.limit(ACTIONS_NAMED).collect()
        there = ", ".join(f"{row['action']} ({row['count']:,})" for row in counts)
        return UserError(
            f"ranking.tasks: no event has one of the positive actions {', '.join(positive)}; the log's actions are"
            f" {there}; name some of them, e.g. --set 'ranking.tasks={{ order = [\"{counts[0]['action']}\"] }}'"
        )
    return UserError(
        f"mine.min_user_items: no user has {run.settings.mine.min_user_items} distinct positive items before"
        f" {periods.fit_until}; lower it, or check ranking.tasks and mine.window_days"
    )


def steps(run: Run) -> None:
    """Caps histories, numbers items, mines item-to-item and user-to-item pairs, and writes them with item ids.

    Executor memory: the users of a bucket with their items, ``mine.rows_per_task`` item occurrences on average; the
    two-tower model. Driver memory: one row per day of the log, one number per partition or bucket, broadcasts (at most
    128 MB per join), and the memory of :func:`jobs.pairs.user2item.two_tower_vectors`.
    """
    mine = run.settings.mine
    interactions = run.read(INTERACTIONS.name)
    keyed_items = item_keys(run.read(ITEMS.name))
    periods = split_periods(interactions, run.settings.split)
    positives = positives_of(interactions, periods, mine, run.settings.ranking)
    with run.step("cap histories"):
        histories = capped_histories(positives, mine).persist()
        if histories.isEmpty():
            raise _without_histories(run, interactions, periods)
        codes = item_codes(histories, keyed_items).persist()
        count = codes.count()
    sources = {"item2item": mine_item2item(run, histories, codes, count=count, until=periods.fit_until)}
    if mine.user2item.model != "none":
        events = events_in_order(positives, histories, codes, count).persist()
        sources["user2item"] = mine_user2item(run, events, codes, count=count, keyed_items=keyed_items)
    with run.step("write item_pairs"):
        named = with_item_ids(reduce(DataFrame.unionByName, sources.values()), codes, count)
        mined = named.withColumn("run_id", F.lit(run.run_id))
        run.overwrite(ITEM_PAIRS, not_judged(mined))
    for source, pairs in sources.items():
        measure_pairs(run, pairs, source, count)


def stands(lake: Lake, last: RunRecord) -> str | None:
    """Why the pairs stand although the log or the catalogue changed; None if they are due.

    Swing's counts and the two towers depend on the whole window, so they cannot be brought up to date exactly at a
    fraction of the cost. Pairs only change what new examples read.
    """
    known, name = last.input_versions.get(INTERACTIONS.name, ""), INTERACTIONS.name
    growth, trigger = grown_since(lake.warehouse, name, known), lake.settings.increments.pairs
    return None if growth is None or growth.is_due(trigger) else growth.words(trigger)


JOB = Job(
    name="mine_pairs",
    steps=steps,
    sections=("mine", "split", "ranking"),
    reads=("interactions", "items"),
    writes=("item_pairs",),
    makes=("two_tower",),
    stands=stands,
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
