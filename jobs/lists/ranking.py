"""Ranks candidates by the fused list and the ranker together."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

SMALLEST = 1e-6
"""Probabilities are kept so far from 0 and 1."""


def log_odds(probability: Column) -> Column:
    """Log-odds of a probability; null for null."""
    bounded = F.greatest(F.least(probability.cast("double"), F.lit(1 - SMALLEST)), F.lit(SMALLEST))
    return F.when(probability.isNotNull(), F.log(bounded / (1 - bounded)))  # greatest and least skip nulls


def combined(candidates: DataFrame, probability: str, weight: float) -> DataFrame:
    """Adds ``combined``: the fused score plus ``weight`` times the ranker's log-odds.

    A candidate that the ranker does not know gets the mean log-odds of the user's other candidates, so that it stands
    where fusion puts it.

    Args:
        candidates: user_id, score, and the ranker's probability, null where it is not known.
        probability: column of the probability.
        weight: weight of the ranker.
    """
    odds = log_odds(F.col(probability))
    usual = F.coalesce(F.avg(odds).over(Window.partitionBy("user_id")), F.lit(0.0))
    return candidates.withColumn("combined", F.col("score") + weight * F.coalesce(odds, usual))


def best_of_users(candidates: DataFrame, top: int) -> DataFrame:
    """The ``top`` candidates of each user by ``combined``, with ``rank`` from 1; item_id breaks ties."""
    of_user = Window.partitionBy("user_id").orderBy(F.desc("combined"), "item_id")
    return candidates.drop("rank").withColumn("rank", F.row_number().over(of_user)).where(F.col("rank") <= top)
