"""Item pairs for the search index: the triggers of every item."""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from models.ranker.examples.triggers import Triggers, triggers_by_target
from schemas.names import PAIR_SOURCES


def pair_rows(pairs: DataFrame, items: DataFrame, most: int) -> DataFrame:
    """The highest-scored triggers of every item and source, without rejected pairs.

    A score is divided by the highest score of its trigger, which makes triggers and sources comparable.

    Args:
        pairs: table ``item_pairs``.
        items: item_id, item_row.
        most: most triggers per item and source.

    Returns:
        source INT, target LONG, trigger LONG, score FLOAT; targets and triggers are numbers of item rows.
    """
    of_trigger = Window.partitionBy("source", "trigger_item_id")
    of_target = Window.partitionBy("source", "target_item_id").orderBy(F.desc("score"), "trigger_item_id")
    number = F.array_position(F.array(*(F.lit(name) for name in PAIR_SOURCES)), F.col("source")) - 1
    best = (
        pairs.where("verdict IS NULL OR verdict = 'keep'")
        .withColumn("score", (F.col("score") / F.max("score").over(of_trigger)).cast("float"))
        .withColumn("place", F.row_number().over(of_target))
        .where(F.col("place") <= most)
    )
    for side in ("target", "trigger"):
        rows = items.select(F.col("item_id").alias(f"{side}_item_id"), F.col("item_row").alias(side))
        best = best.join(rows, f"{side}_item_id", "inner")
    return best.select(number.cast("int").alias("source"), "target", "trigger", "score")


def triggers_of(pairs: DataFrame, items: int) -> Triggers:
    """Collects the result of :func:`pair_rows`. Driver memory: about 60 bytes per pair."""
    table = pairs.toArrow()
    source, target, trigger = (table[name].to_numpy().astype(np.int64) for name in ("source", "target", "trigger"))
    return triggers_by_target(source, target, trigger, table["score"].to_numpy(), items=items)
