"""The catalogue that executors search in: every item's vector, codes, category and popularity, memory-mapped."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from qarm.lake.artifacts import Artifact
from qarm.lake.indexing import with_row_number
from qarm.lake.job import Run
from qarm.lake.periods import Periods
from qarm.schemas.errors import UserError
from qarm.udfs.arrays import column_matrix

FIRST_INDEX = 2
"""Item index 0 is padding, 1 is an item that the train period does not know well enough."""


def item_rows(
    items: DataFrame, embeddings: DataFrame, codes: DataFrame, positives: DataFrame, periods: Periods
) -> DataFrame:
    """Every embedded item with category, codes and popularity, numbered by ``item_row``.

    ``popularity`` counts positives in the periods of the train, valid and test examples; ``train_events`` those of the
    whole train period.
    """
    in_test = F.col("event_date") >= F.lit(periods.test_from)
    ranked = periods.in_train & ~periods.in_fit if periods.rank_from else periods.in_train
    in_period = (ranked, ~periods.in_train & ~in_test, in_test)
    counts = F.array(*(F.count(F.when(condition, 1)) for condition in in_period))
    popularity = positives.groupBy("item_id").agg(
        counts.alias("popularity"), F.count(F.when(periods.in_train, 1)).alias("train_events")
    )
    categories = items.where("category IS NOT NULL").select("item_id", F.xxhash64("category").alias("category"))
    rows = (
        embeddings.select("item_id", "search_embedding")
        .join(categories, "item_id", "left")
        .join(codes.select("item_id", "sid_1", "sid_2", "sid_3"), "item_id", "left")
        .join(popularity, "item_id", "left")
        .withColumn("popularity", F.coalesce("popularity", F.array(*[F.lit(0).cast("long")] * 3)))
        .fillna(0, ["train_events"])
    )
    return with_row_number(rows, "item_row", "item_id")


def write_catalogue(rows: DataFrame, min_item_events: int, folder: Path) -> dict[str, object]:
    """Writes what the executors need of every item as memory-mappable arrays, ordered by ``item_row``.

    Driver memory: about three times ``search_dim * 4 + 68`` bytes an item; the caller has checked their number.

    Returns:
        Sizes of the ranker's tables: ``items`` and ``codes``.
    """
    table = rows.toArrow().sort_by("item_row")
    in_train = table["train_events"].to_numpy()
    known = in_train >= min_item_events
    # Index by popularity, so that hot rows of the item table lie together.
    order = np.lexsort((np.arange(len(known)), -in_train))
    index = np.ones(len(known), np.int32)
    index[order] = np.where(known[order], FIRST_INDEX + np.arange(len(known)), 1)
    codes = np.stack([table[f"sid_{i}"].fill_null(-1).to_numpy() + 1 for i in (1, 2, 3)], axis=1).astype(np.int32)
    np.save(folder / "search_embeddings.npy", column_matrix(table["search_embedding"]))
    np.save(folder / "codes.npy", codes)
    np.save(folder / "item_index.npy", index)
    np.save(folder / "popularity.npy", column_matrix(table["popularity"]))
    np.save(folder / "category.npy", table["category"].fill_null(0).to_numpy())
    return {"items": FIRST_INDEX + int(known.sum()), "codes": [int(level) + 1 for level in codes.max(0)]}


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
    recipe = {name: run.version(name) for name in run.job.reads}
    recipe |= {"min_item_events": str(settings.min_item_events), "split": run.settings.digest(["split", "ranking"])}
    with tempfile.TemporaryDirectory(prefix="qarm-") as folder:
        sizes = write_catalogue(items, settings.min_item_events, Path(folder))
        return run.publish("catalogue", Path(folder), recipe, **sizes)
