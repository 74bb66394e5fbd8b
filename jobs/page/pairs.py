"""Judged pairs on the page: the judge, its scores, and examples."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.page.figures import verdict_scores
from models.llm.judges import meaning_of

SCORE_BINS = 30


def verdict_figure(pairs: DataFrame) -> Markup | None:
    """Histogram of the judge's scores, which Spark counts; None if no pair was judged."""
    judged = pairs.where("judge_score IS NOT NULL")
    low, high = judged.agg(F.min("judge_score"), F.max("judge_score")).collect()[0]
    if low is None:
        return None
    width = (high - low) / SCORE_BINS or 1.0
    place = F.least(F.floor((F.col("judge_score") - low) / width), F.lit(SCORE_BINS - 1)).cast("int")
    counts = {
        (r["bin"], r["verdict"]): r["count"] for r in judged.groupBy(place.alias("bin"), "verdict").count().collect()
    }
    edges = [low + i * width for i in range(SCORE_BINS)]
    kept, rejected = ([counts.get((i, verdict), 0) for i in range(SCORE_BINS)] for verdict in ("keep", "reject"))
    return Markup(verdict_scores(edges, kept, rejected))


def judge_in_words(pairs: DataFrame) -> dict[str, str]:
    """The name of the judge and the meaning of its scores."""
    row = pairs.where("judge IS NOT NULL").select("judge").limit(1).collect()
    name = row[0]["judge"] if row else ""
    return {"judge": name, "judge_words": meaning_of(name)}


def pair_examples(pairs: DataFrame, items: DataFrame, verdict: str, best_first: bool) -> list[Any]:
    """Ten judged pairs with the texts of their items.

    Args:
        pairs: ``item_pairs``.
        items: item_id, text.
        verdict: keep or reject.
        best_first: whether the highest or the lowest scores are shown.
    """
    order = F.col("judge_score").desc() if best_first else F.col("judge_score").asc()
    chosen = pairs.where(F.col("verdict") == verdict).orderBy(order, "trigger_item_id", "target_item_id").limit(10)
    for side in ("trigger", "target"):
        title = items.select(F.col("item_id").alias(f"{side}_item_id"), F.col("text").alias(side))
        chosen = chosen.join(title, f"{side}_item_id", "left")
    return chosen.select("trigger", "target", "score", "support", "judge_score").orderBy(order).collect()
