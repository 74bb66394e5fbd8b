"""MLlib's implicit ALS as this project uses it: item factors, brought to length 1."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.indexing import with_row_number

BLOCKS = 10
"""The first factors depend on the number of blocks, so it is the same on every cluster."""


@dataclass(frozen=True, kw_only=True)
class AlsParameters:
    """How the factors are fitted.

    Attributes:
        dim: length of a vector.
        iterations: of the alternation.
        regularization: of the factors, times the number of a user's or an item's ratings.
        confidence: how much more a rating of 1 counts than an item never taken.
        seed: of the first factors.
    """

    dim: int
    iterations: int
    regularization: float
    confidence: float
    seed: int


def with_user_numbers(ratings: DataFrame) -> DataFrame:
    """Gives users consecutive numbers in place of their ids. Driver memory: one number a partition.

    Args:
        ratings: user, of any type that can be ordered, and further columns.
    """
    numbers = with_row_number(ratings.select("user").distinct(), "number", "user")
    return ratings.join(numbers, "user", "inner").withColumn("user", F.col("number").cast("int")).drop("number")


def item_factors(ratings: DataFrame, parameters: AlsParameters) -> DataFrame:
    """Item factors, fitted on the cluster alone, equal from run to run up to rounding.

    Executor memory: MLlib's, in :data:`BLOCKS` blocks of users and as many of items: a task holds a block's ratings,
    some 12 bytes each, and the factors of the other side that they meet, ``4 * dim`` bytes each.

    Args:
        ratings: user INT, item INT, rating FLOAT; one row a user and item, at least one.
        parameters: how.

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
    """Rows with a vector brought to length 1, as ARRAY<FLOAT>; those of no length are left out.

    Args:
        rows: with the column.
        column: ARRAY of numbers.
    """
    norm = F.sqrt(F.aggregate(column, F.lit(0.0), lambda total, x: total + x * x))
    unit = F.transform(column, lambda x: (x / F.col("norm")).cast("float"))
    known = rows.withColumn("norm", norm).where("norm > 0 AND NOT isnan(norm)")
    return known.withColumn(column, unit).drop("norm")
