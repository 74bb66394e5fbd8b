"""User-to-item pairs: from the nearest of the user's earlier positives (trigger) to each positive event (target)."""

from __future__ import annotations

import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.pairs.histories import fits_broadcast, small_side
from jobs.transforms.als import AlsParameters, item_factors, with_user_numbers
from lake.local_copies import local_copies
from lake.run import Run
from lake.scratch import scratch_folder
from lake.staging import staged
from models.feed.feed import Feed
from models.feed.file_systems import reads_in_place
from models.pairs.two_tower import TowerShape, TowerTraining, save_two_tower, train_two_tower
from schemas.errors import UserError
from schemas.parameters import take
from schemas.sections import User2ItemSettings
from udfs.user2item import (
    EXAMPLE_SCHEMA,
    TRIGGER_SCHEMA,
    VECTOR_SCHEMA,
    item_vectors,
    nearest_triggers,
    recent_items,
)

EXAMPLE_FILES = 8

TOWER_ITEMS = "items.parquet"
"""File of the ids and numbers of the items that have a row in the two-tower model's table."""

TOWERS_KEPT = 2
"""Number of versions of the model that are kept."""


def events_in_order(positives: DataFrame, histories: DataFrame, codes: DataFrame, count: int) -> DataFrame:
    """Positive events on numbered items, of users with a history, sorted by user and time.

    Returns:
        user LONG, time LONG, item INT; partitioned by user, sorted by user, time and item.
    """
    numbers = small_side(codes.select("item_key", "item"), count)
    return (
        positives.join(numbers, "item_key", "inner")
        .select("user", "time", "item")
        .repartition("user")
        .join(histories.select("user"), "user", "left_semi")
        .sortWithinPartitions("user", "time", "item")
    )


def hashed_features(settings: User2ItemSettings) -> Column:
    """Hashed features of an item of the table ``items``: category, attributes by name, words of the title.

    Returns:
        ARRAY<INT> of length ``features``, padded by 0.
    """
    attributes = F.transform(
        F.array_sort(F.map_entries(F.coalesce("attributes", F.create_map().cast("map<string,string>")))),
        lambda entry: F.concat_ws("=", entry["key"], entry["value"]),
    )
    category = F.array_compact(F.array(F.concat(F.lit("category="), F.col("category"))))
    words = F.filter(F.split(F.lower(F.coalesce("title", F.lit(""))), r"[^\p{L}\p{N}]+"), lambda word: word != "")
    texts = F.slice(F.array_distinct(F.concat(category, attributes, words)), 1, settings.features)
    rows = F.transform(texts, lambda text: (F.pmod(F.xxhash64(text), settings.feature_rows) + 1).cast("int"))
    return F.slice(F.concat(rows, F.array_repeat(F.lit(0), settings.features)), 1, settings.features)


def item_features(codes: DataFrame, keyed_items: DataFrame, settings: User2ItemSettings) -> DataFrame:
    """Hashed features of every numbered item: category, attributes by name, words of the title.

    Returns:
        item INT, content INT, popularity INT, features ARRAY<INT> of length ``features``, padded by 0.
    """
    known = keyed_items.select("item_key", hashed_features(settings).alias("features"))
    return codes.join(known, "item_key", "inner").select("item", "content", "popularity", "features")


def tower_examples(events: DataFrame, features: DataFrame, count: int, settings: User2ItemSettings) -> DataFrame:
    """Training examples of the two-tower model: a sample of the positives by hash, sorted by hash.

    Returns:
        item INT, recent ARRAY<INT> padded by -1, features ARRAY<INT>, log_q FLOAT.
    """
    total = max(events.count(), 1)
    draw = F.shiftrightunsigned(F.xxhash64("user", "time", "item"), 11) / F.lit(float(2**53))
    marked = events.withColumn("wanted", draw < settings.examples / total)
    # The frequency of an item as a target is estimated by the number of users with the item.
    holders = features.agg(F.sum("popularity")).collect()[0][0]
    frequent = features.withColumn("log_q", F.log(F.col("popularity") / F.lit(holders)).cast("float"))
    rows = marked.mapInArrow(recent_items(settings.recent_length), EXAMPLE_SCHEMA).join(
        small_side(frequent.select("item", "features", "log_q"), count), "item", "inner"
    )
    order = F.xxhash64("item", "recent")
    # The number of files is fixed, so that batches do not depend on the cluster.
    return rows.repartition(EXAMPLE_FILES, order).sortWithinPartitions(order, "item")


def two_tower_vectors(run: Run, events: DataFrame, features: DataFrame, codes: DataFrame, *, count: int) -> DataFrame:
    """Item vectors of a two-tower model, which is trained on the driver; the executors apply its item tower.

    Driver memory: the model's tables three times (``item_rows`` and ``feature_rows`` times ``dim``), and
    ``shuffle_rows`` examples. The ids of the items with a row in the model's table lie beside the model.

    Returns:
        item INT, content INT, vector ARRAY<FLOAT> of length 1.
    """
    settings = run.settings.mine.user2item
    examples = tower_examples(events, features, count, settings)
    with (
        staged(run, "two_tower", examples) as written,
        scratch_folder() as folder,
        local_copies(run.lake.files, reads_in_place) as copies,
    ):
        rows = written.rows.count()
        if rows < 2:
            raise UserError(
                f"mine.user2item.examples: only {rows} of the sampled positives have an earlier positive, which is too"
                " few to train on; raise it, or set mine.user2item.model=none"
            )
        feed = take(Feed, settings, files=copies(written.files), columns=["item", "features", "recent", "log_q"])
        shape = take(TowerShape, settings, item_rows=min(settings.item_rows, count))
        model, losses = train_two_tower(shape, feed.epoch, take(TowerTraining, settings))
        save_two_tower(model, folder)
        ids = codes.where(F.col("item") < shape.item_rows).select("item_id", "item")
        pq.write_table(ids.toArrow().sort_by("item"), folder / TOWER_ITEMS)
        recipe = {name: run.version(name) for name in run.job.reads} | {"mine": run.settings.digest(run.job.sections)}
        artifact = run.publish("two_tower", folder, recipe, losses=losses)
    run.prune("two_tower", TOWERS_KEPT)
    run.measure("two_tower.loss", losses[-1])
    run.measure("two_tower.examples", rows)
    return features.mapInArrow(item_vectors(run.lake.artifacts.ship(artifact)), VECTOR_SCHEMA)


def als_vectors(events: DataFrame, features: DataFrame, settings: User2ItemSettings) -> DataFrame:
    """Item vectors by implicit ALS, fitted by Spark, equal from run to run up to rounding.

    Returns:
        item INT, content INT, vector ARRAY<FLOAT> of length 1; items whose factors are all 0 are left out.
    """
    counts = events.groupBy("user", "item").agg(F.count("*").cast("float").alias("rating"))
    parameters = take(AlsParameters, settings.als, dim=settings.dim, seed=settings.seed)
    vectors = item_factors(with_user_numbers(counts), parameters)
    return vectors.join(features.select("item", "content"), "item", "inner").select("item", "content", "vector")


def triggers_of(events: DataFrame, vectors: DataFrame, count: int, *, dim: int, window: int) -> DataFrame:
    """Each positive with its trigger, the nearest of the user's last ``window`` positives before it.

    Vectors are joined to the events by broadcast if they are small enough, else by a shuffle.

    Returns:
        trigger INT, target INT, similarity FLOAT.
    """
    row_bytes = 4 * dim + 60
    placed = events.join(small_side(vectors, count, row_bytes), "item", "inner")
    if not fits_broadcast(count, row_bytes):  # a broadcast join keeps the order of the events, a shuffle does not
        placed = placed.repartition("user").sortWithinPartitions("user", "time", "item")
    columns = ("user", "time", "item", "content", "vector")
    return placed.select(*columns).mapInArrow(nearest_triggers(window), TRIGGER_SCHEMA)


def user2item_pairs(triggers: DataFrame, settings: User2ItemSettings) -> DataFrame:
    """The ``top_k`` nearest targets of each trigger.

    Returns:
        trigger INT, target INT, score DOUBLE (highest similarity), support LONG (number of positives of the pair).
    """
    pairs = triggers.groupBy("trigger", "target").agg(
        F.max("similarity").cast("double").alias("score"), F.count("*").alias("support")
    )
    best_first = Window.partitionBy("trigger").orderBy(F.col("score").desc(), F.xxhash64("trigger", "target"), "target")
    return (
        pairs.where((F.col("support") >= settings.min_support) & (F.col("score") >= settings.min_similarity))
        .withColumn("place", F.row_number().over(best_first))
        .where(F.col("place") <= settings.top_k)
        .drop("place")
    )
