"""Judged pairs on the page: the judge, its scores, and examples."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.page.figure import Figure
from models.llm.judges import meaning_of

SCORE_BINS = 30
EXAMPLES = 10


def verdict_figure(pairs: DataFrame) -> Figure | None:
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
    kept, rejected = ([counts.get((i, verdict), 0) for i in range(SCORE_BINS)] for verdict in ("keep", "reject"))
    labels = [f"{low + i * width:.3f}" for i in range(SCORE_BINS)]
    return Figure(
        name="verdicts",
        title="pairs by the judge's score",
        alt=f"{sum(kept):,} pairs were kept and {sum(rejected):,} rejected; scores from {low:.3f} to {high:.3f}",
        kind="bars",
        data={
            "labels": labels,
            "series": [{"name": "kept", "values": kept}, {"name": "rejected", "values": rejected}],
            "stacked": True,
            "digits": 0,
            "x": "score of the judge, from",
        },
        columns=["score from", "kept", "rejected"],
        rows=[[label, k, r] for label, k, r in zip(labels, kept, rejected, strict=True)],
    )


def judge_in_words(pairs: DataFrame) -> dict[str, str]:
    """The name of the judge and the meaning of its scores."""
    row = pairs.where("judge IS NOT NULL").select("judge").limit(1).collect()
    name = row[0]["judge"] if row else ""
    return {"judge": name, "judge_words": meaning_of(name)}


def pair_examples(pairs: DataFrame, items: DataFrame, verdict: str, best_first: bool) -> list[Any]:
    """Ten judged pairs with the texts of their items. A title is the trigger once at most, and the target once.

    Args:
        pairs: ``item_pairs``.
        items: item_id, title, text.
        verdict: keep or reject.
        best_first: whether the highest or the lowest scores are shown.
    """
    order = [F.col("judge_score").desc() if best_first else F.col("judge_score").asc(), F.desc("support")]
    order += [F.col("trigger_item_id"), F.col("target_item_id")]
    chosen = pairs.where(F.col("verdict") == verdict)
    for side in ("trigger", "target"):
        title = F.coalesce("title", "text").alias(f"{side}_title")
        of_side = items.select(F.col("item_id").alias(f"{side}_item_id"), F.col("text").alias(side), title)
        chosen = chosen.join(of_side, f"{side}_item_id", "left")
    trigger, target = F.col("trigger_title"), F.col("target_title")
    for alike in ([F.least(trigger, target), F.greatest(trigger, target)], [trigger], [target]):
        first = F.row_number().over(Window.partitionBy(*alike).orderBy(*order))
        chosen = chosen.withColumn("place", first).where("place = 1")
    shown = chosen.orderBy(*order).limit(EXAMPLES)
    return shown.select("trigger", "target", "source", "score", "support", "judge_score").collect()
