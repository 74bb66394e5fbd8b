"""Item factors by MLlib's implicit ALS, normalised to length 1."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.indexing import with_row_number

BLOCKS = 10
"""Number of blocks. It is fixed, as the initial factors depend on it."""


@dataclass(frozen=True, kw_only=True)
class AlsParameters:
    """How the factors are fitted.

    Attributes:
        dim: dimension of the vectors.
        iterations: number of alternations.
        regularization: weight of the L2 penalty; MLlib multiplies it by the number of ratings.
        confidence: how much more a rating of 1 counts than no rating.
        seed: seed of the initial factors.
    """

    dim: int
    iterations: int
    regularization: float
    confidence: float
    seed: int


def with_user_numbers(ratings: DataFrame) -> DataFrame:
    """Replaces users by consecutive numbers. Driver memory: one number per partition.

    Args:
        ratings: user, of any sortable type, and further columns.
    """
    numbers = with_row_number(ratings.select("user").distinct(), "number", "user")
    return ratings.join(numbers, "user", "inner").withColumn("user", F.col("number").cast("int")).drop("number")


def item_factors(ratings: DataFrame, parameters: AlsParameters) -> DataFrame:
    """Item factors, fitted by Spark, equal from run to run up to rounding.

    Executor memory: users and items are split into :data:`BLOCKS` blocks each. A task holds the ratings of a block,
    about 12 bytes each, and the factors of the rated items or rating users, ``4 * dim`` bytes each.

    Args:
        ratings: user INT, item INT, rating FLOAT; one row per user and item, at least one row.
        parameters: parameters of the fit.

    Returns:
        item INT, vector ARRAY<FLOAT> of length 1; items whose factors are all 0 are left out.
    """
    als = ALS(
        rank=parameters.dim,
        maxIter=parameters.iterations,
        regParam=parameters.regularization,
        alpha=parameters.confidence,
        implicitPrefs=True,
        seed=parameters.seed,
        numUserBlocks=BLOCKS,
        numItemBlocks=BLOCKS,
        userCol="user",
        itemCol="item",
        ratingCol="rating",
    )
    factors = als.fit(ratings).itemFactors.select(F.col("id").alias("item"), F.col("features").alias("vector"))
    return unit_vectors(factors, "vector")


def unit_vectors(rows: DataFrame, column: str) -> DataFrame:
    """Normalises a vector column to length 1, as ARRAY<FLOAT>; rows whose vector has length 0 are left out.

    Args:
        rows: the rows.
        column: name of the column, an ARRAY of numbers.
    """
    norm = F.sqrt(F.aggregate(column, F.lit(0.0), lambda total, x: total + x * x))
    unit = F.transform(column, lambda x: (x / F.col("norm")).cast("float"))
    known = rows.withColumn("norm", norm).where("norm > 0 AND NOT isnan(norm)")
    return known.withColumn(column, unit).drop("norm")
