"""Behaviour vectors of the items: who takes what, by ALS, fitted several times so that no example sees its future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.audience import audiences, mean_user, user_directions
from jobs.transforms.als import AlsParameters, item_factors, with_user_numbers
from lake.periods import Periods
from models.ranker.examples.shrinkage import Neighbourhood, shrink
from schemas.parameters import take
from schemas.ranking_sections import BehaviourSettings
from udfs.arrays import column_matrix


def fit_days(periods: Periods, settings: BehaviourSettings) -> list[date]:
    """First days after the logs that vectors are fitted on, ascending; none where the settings want no vectors.

    The first is that of the train examples, or the day halfway through a train period that gives examples from its
    beginning; the last is that of the validation period; the others lie evenly between.

    Args:
        periods: of the log.
        settings: of the fits; fewer than they want where there are fewer days.
    """
    if settings.model == "none":
        return []
    last = periods.valid_from
    begin = periods.rank_from or periods.first_day + (last - periods.first_day) / 2
    days = (last - begin).days
    return sorted({begin + timedelta(days=round(days * i / (settings.fits - 1))) for i in range(settings.fits)})


def ratings_before(positives: DataFrame, items: DataFrame, until: date) -> DataFrame:
    """Who took what before a day, and how often.

    Args:
        positives: user_id, item_id, event_date.
        items: item_id, item_row.
        until: the day.

    Returns:
        user INT, item INT, the items' rows; rating FLOAT, the logarithm of 1 and the times.
    """
    counts = (
        positives.where(F.col("event_date") < F.lit(until))
        .join(items.select("item_id", F.col("item_row").cast("int").alias("item")), "item_id", "inner")
        .groupBy(F.col("user_id").alias("user"), "item")
        .agg(F.log1p(F.count("*")).cast("float").alias("rating"))
    )
    return with_user_numbers(counts)


def vectors_by_row(vectors: DataFrame, count: int, dim: int) -> NDArray[np.float32]:
    """Gathers vectors as a matrix, 0 for items that have none. Driver memory: three times ``dim * 4`` bytes an item.

    Args:
        vectors: item INT, vector ARRAY<FLOAT>.
        count: items.
        dim: of a vector.

    Returns:
        Shape (count, dim).
    """
    table: pa.Table = vectors.toArrow()
    matrix = np.zeros((count, dim), np.float32)
    if table.num_rows:
        matrix[table["item"].to_numpy()] = column_matrix(table["vector"])
    return matrix


def takers_by_row(ratings: DataFrame, count: int) -> NDArray[np.int64]:
    """Users that took each item. Driver memory: 12 bytes an item.

    Args:
        ratings: of :func:`ratings_before`.
        count: items.

    Returns:
        Shape (count,).
    """
    table = ratings.groupBy("item").agg(F.count("*").alias("takers")).toArrow()
    takers = np.zeros(count, np.int64)
    takers[table["item"].to_numpy()] = table["takers"].to_numpy()
    return takers


@dataclass(frozen=True)
class Behaviours:
    """Behaviour vectors of every fit.

    Attributes:
        behaviour_coarse, behaviour_fine: of length 1, or 0 where an item was not taken before; shape (fits, items, d).
        behaviour_audience: mean taste of each item's takers, by the fine vectors, 0 where nobody took it; shape
            (fits, items, d).
        behaviour_mean: the mean user, by the fine vectors, shape (fits, d).
        behaviour_until: microseconds since 1970 that each fit's log ends before, shape (fits,).
    """

    behaviour_coarse: NDArray[np.float32]
    behaviour_fine: NDArray[np.float32]
    behaviour_audience: NDArray[np.float32]
    behaviour_mean: NDArray[np.float32]
    behaviour_until: NDArray[np.int64]


def behaviours(
    positives: DataFrame,
    items: DataFrame,
    days: Sequence[date],
    count: int,
    *,
    towards: Neighbourhood | None,
    settings: BehaviourSettings,
) -> Behaviours:
    """Fits vectors on the log before each of some days, and shrinks those of items that few took.

    Driver memory: ``4 * (coarse_dim + 2 * fine_dim)`` bytes an item and fit; beside them three times ``4 * fine_dim``
    for one.

    Args:
        positives: user_id, item_id, event_date.
        items: item_id, item_row.
        days: of :func:`fit_days`.
        count: items.
        towards: what the items are shrunk towards; None where each has its own vectors alone.
        settings: of the fits.
    """
    dims = settings.coarse_dim, settings.fine_dim, settings.fine_dim
    coarse, fine, audience = (np.zeros((len(days), count, dim), np.float32) for dim in dims)
    mean = np.zeros((len(days), settings.fine_dim), np.float32)
    for number, day in enumerate(days):
        ratings = ratings_before(positives, items, day).persist()
        takers = takers_by_row(ratings, count)
        if takers.any():
            for matrix in (coarse, fine):
                factors = item_factors(ratings, take(AlsParameters, settings, dim=matrix.shape[2]))
                vectors = vectors_by_row(factors, count, matrix.shape[2])
                matrix[number] = shrink(vectors, takers, towards, settings.shrinkage) if towards else vectors
            # The last factors are the fine ones, and as fitted: shrinkage says nothing of the users.
            directions = user_directions(ratings, factors, settings.fine_dim).persist()
            mean[number] = mean_user(directions, settings.fine_dim)
            of_items = audiences(ratings, directions, mean[number])
            audience[number] = vectors_by_row(of_items, count, settings.fine_dim)
            directions.unpersist()
        ratings.unpersist()
    until = np.array([Periods.microseconds(day) for day in days], np.int64)
    return Behaviours(coarse, fine, audience, mean, until)
