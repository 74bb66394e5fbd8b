"""The two-tower model of mine_pairs, with the vectors of tonight's items, as a source of retrieval."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.pairs.user2item import TOWER_ITEMS, hashed_features
from lake.run import Run
from models.pairs.two_tower import load_two_tower
from models.retriever.towers import Towers
from schemas.tables import ITEMS
from udfs.arrays import column_matrix
from udfs.user2item import VECTOR_SCHEMA, item_vectors

log = logging.getLogger("qarm")


def towers_of(run: Run, items: DataFrame, folder: Path) -> Towers | None:
    """The newest two towers, their files copied to a folder; None without a model, or if it is not used.

    New items have vectors too, by their category, attributes and words. Driver memory: the vectors.

    Args:
        run: the run.
        items: result of :func:`jobs.retrieval.events.numbered_items`.
        folder: an empty folder.
    """
    settings = run.settings
    used = "two_tower" in settings.retrieve.candidates and settings.mine.user2item.model == "two_tower"
    artifact = run.latest("two_tower") if used else None
    if artifact is None:
        return None
    if TOWER_ITEMS not in artifact.files:
        log.warning("retrieve: %s was made by an earlier qarm and is left out; run mine_pairs", artifact.version)
        return None
    local = run.lake.artifacts.fetch(artifact)
    for name in ("two_tower.safetensors", "two_tower.json"):
        shutil.copy(local / name, folder / name)
    model = load_two_tower(folder)
    if model.shape.feature_rows != settings.mine.user2item.feature_rows:
        log.warning(
            "retrieve: %s was trained with other mine.user2item.feature_rows and is left out; run mine_pairs",
            artifact.version,
        )
        return None
    known = run.spark.read.parquet(f"{artifact.url}/{TOWER_ITEMS}")
    rows = (
        run.read(ITEMS.name)
        .select("item_id", hashed_features(settings.mine.user2item).alias("features"))
        .join(items.select("item_id", F.col("item").alias("content")), "item_id", "inner")
        .join(known, "item_id", "left")
        .select(F.coalesce("item", F.lit(model.shape.item_rows)).alias("item"), "content", "features")
    )
    made = rows.mapInArrow(item_vectors(run.lake.artifacts.ship(artifact)), VECTOR_SCHEMA).toArrow()
    made = made.sort_by("content").combine_chunks()
    return Towers(
        model,
        made["item"].to_numpy().astype(np.int64),
        np.ascontiguousarray(column_matrix(made["vector"]), np.float32),
        settings.mine.user2item.recent_length,
        settings.retrieve.candidates["two_tower"],
    )
