"""The audience of every item: the mean taste of the users who took it.

A taste is defined by :func:`models.ranker.examples.taste.tastes`; here it is of all items that a user took, each
counted once. Spark computes audiences, equal from run to run up to rounding; the ratings are shuffled twice with a
vector each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.transforms.als import unit_vectors

PRIOR = 3
"""Shrinkage of an audience towards 0: number of users without a taste that are added to its users."""


def user_directions(ratings: DataFrame, vectors: DataFrame, dim: int) -> DataFrame:
    """The direction of the mean vector of the items that each user took.

    Args:
        ratings: user, item; one row per user and item.
        vectors: item, vector ARRAY<FLOAT> of length 1.
        dim: dimension of the vectors.

    Returns:
        user, vector ARRAY<FLOAT> of length 1.
    """
    rows = ratings.join(vectors, "item", "inner").groupBy("user").agg(_each(F.avg, dim).alias("vector"))
    return unit_vectors(rows, "vector")


def mean_user(directions: DataFrame, dim: int) -> NDArray[np.float32]:
    """The mean of the users' directions, shape (dim,); 0 if there are no users."""
    found = directions.agg(_each(F.avg, dim).alias("mean")).collect()[0]["mean"]
    return np.array([value or 0 for value in found], np.float32)


def audiences(ratings: DataFrame, directions: DataFrame, mean: NDArray[np.float32]) -> DataFrame:
    """The mean taste of the users who took each item.

    Args:
        ratings: user, item; one row per user and item.
        directions: result of :func:`user_directions`.
        mean: result of :func:`mean_user`.

    Returns:
        item, vector ARRAY<FLOAT>; the vector is short if few users took the item or if their tastes differ.
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
    """Applies an aggregate to each dimension of the vectors."""
    return F.array(*(function(F.get("vector", F.lit(i))) for i in range(dim)))
