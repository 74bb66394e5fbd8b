"""Behaviour vectors: ALS vectors of the items, fitted at several times so that no example reads its own future."""

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
    """The days of the fits, ascending; vectors are fitted on the log before each day.

    The first is the first day of the train examples, or the middle of the train period if train examples begin with
    it; the last is the first day of the validation period; the others are spread evenly between.

    Args:
        periods: periods of the log.
        settings: settings of the fits.

    Returns:
        The days, at most ``settings.fits``; empty if ``settings.model`` is none.
    """
    if settings.model == "none":
        return []
    last = periods.valid_from
    begin = periods.rank_from or periods.first_day + (last - periods.first_day) / 2
    days = (last - begin).days
    return sorted({begin + timedelta(days=round(days * i / (settings.fits - 1))) for i in range(settings.fits)})


def ratings_before(positives: DataFrame, items: DataFrame, until: date) -> DataFrame:
    """Ratings from the positive events before a day.

    Args:
        positives: user_id, item_id, event_date.
        items: item_id, item_row.
        until: the day.

    Returns:
        user INT, item INT (the item_row), rating FLOAT, log(1 + number of events); one row per user and item.
    """
    counts = (
        positives.where(F.col("event_date") < F.lit(until))
        .join(items.select("item_id", F.col("item_row").cast("int").alias("item")), "item_id", "inner")
        .groupBy(F.col("user_id").alias("user"), "item")
        .agg(F.log1p(F.count("*")).cast("float").alias("rating"))
    )
    return with_user_numbers(counts)


def vectors_by_row(vectors: DataFrame, count: int, dim: int) -> NDArray[np.float32]:
    """Collects vectors as a matrix, 0 for items without one. Driver memory: three times ``dim * 4`` bytes per item.

    Args:
        vectors: item INT, vector ARRAY<FLOAT>.
        count: number of items.
        dim: dimension of the vectors.

    Returns:
        Shape (count, dim).
    """
    table: pa.Table = vectors.toArrow()
    matrix = np.zeros((count, dim), np.float32)
    if table.num_rows:
        matrix[table["item"].to_numpy()] = column_matrix(table["vector"])
    return matrix


def takers_by_row(ratings: DataFrame, count: int) -> NDArray[np.int64]:
    """Number of users who took each item. Driver memory: 12 bytes per item.

    Args:
        ratings: result of :func:`ratings_before`.
        count: number of items.

    Returns:
        Shape (count,).
    """
    table = ratings.groupBy("item").agg(F.count("*").alias("takers")).toArrow()
    takers = np.zeros(count, np.int64)
    takers[table["item"].to_numpy()] = table["takers"].to_numpy()
    return takers


@dataclass(frozen=True)
class Behaviours:
    """Behaviour vectors of all fits.

    Attributes:
        behaviour_coarse, behaviour_fine: short and long vectors, of length 1, or 0 for an item without events before
            the fit; shape (fits, items, d).
        behaviour_audience: mean taste, in long vectors, of the users who took each item, 0 if there are none; shape
            (fits, items, d).
        behaviour_mean: the mean user, in long vectors, shape (fits, d).
        behaviour_until: exclusive end of the log of each fit, in microseconds since 1970, shape (fits,).
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
    """Fits vectors on the log before each day, and shrinks the vectors of items with few users.

    Driver memory: ``4 * (coarse_dim + 2 * fine_dim)`` bytes per item and fit, and three times ``4 * fine_dim`` bytes
    per item during a fit.

    Args:
        positives: user_id, item_id, event_date.
        items: item_id, item_row.
        days: result of :func:`fit_days`.
        count: number of items.
        towards: neighbourhoods that the items are shrunk towards; None for no shrinkage.
        settings: settings of the fits.
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
            # ``factors`` are now the fine ones without shrinkage, which is meant for items, not for users.
            directions = user_directions(ratings, factors, settings.fine_dim).persist()
            mean[number] = mean_user(directions, settings.fine_dim)
            of_items = audiences(ratings, directions, mean[number])
            audience[number] = vectors_by_row(of_items, count, settings.fine_dim)
            directions.unpersist()
        ratings.unpersist()
    until = np.array([Periods.microseconds(day) for day in days], np.int64)
    return Behaviours(coarse, fine, audience, mean, until)
