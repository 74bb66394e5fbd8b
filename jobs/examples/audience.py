"""The audience of every item: the mean taste of the users who took it.

Tastes are those of :func:`models.ranker.examples.taste.tastes`, of all that a user took, each item counted once. All of
it is done on the cluster, equal from run to run up to rounding; the ratings pass two shuffles with a vector each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.transforms.als import unit_vectors

PRIOR = 3
"""Takers of no taste that every audience is mixed with: two users say little of the next."""


def user_directions(ratings: DataFrame, vectors: DataFrame, dim: int) -> DataFrame:
    """The direction of what every user took.

    Args:
        ratings: user, item; one row a user and item.
        vectors: item, vector ARRAY<FLOAT> of length 1.
        dim: of a vector.

    Returns:
        user, vector ARRAY<FLOAT> of length 1.
    """
    rows = ratings.join(vectors, "item", "inner").groupBy("user").agg(_each(F.avg, dim).alias("vector"))
    return unit_vectors(rows, "vector")


def mean_user(directions: DataFrame, dim: int) -> NDArray[np.float32]:
    """The mean of the users' directions, shape (dim,); 0 where there are no users."""
    found = directions.agg(_each(F.avg, dim).alias("mean")).collect()[0]["mean"]
    return np.array([value or 0 for value in found], np.float32)


def audiences(ratings: DataFrame, directions: DataFrame, mean: NDArray[np.float32]) -> DataFrame:
    """The mean taste of every item's takers.

    Args:
        ratings: user, item; one row a user and item.
        directions: of :func:`user_directions`.
        mean: of :func:`mean_user`.

    Returns:
        item, vector ARRAY<FLOAT>: the shorter, the fewer took the item and the less they have in common.
    """
    away = F.array(*(F.get("vector", F.lit(i)) - F.lit(float(value)) for i, value in enumerate(mean)))
    tastes = unit_vectors(directions.withColumn("vector", away), "vector")
    share = F.transform("vector", lambda total: (total / (F.col("takers") + F.lit(PRIOR))).cast("float"))
    return (
        ratings.join(tastes, "user", "inner")
        .groupBy("item")
        .agg(_each(F.sum, len(mean)).alias("vector"), F.count("*").alias("takers"))
        .select("item", share.alias("vector"))
    )


def _each(function: Callable[[Column], Column], dim: int) -> Column:
    """An aggregate of every place of the vectors."""
    return F.array(*(function(F.get("vector", F.lit(i))) for i in range(dim)))
