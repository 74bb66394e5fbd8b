"""Fits behaviour vectors: ALS vectors of items, at several times so that no example reads its own future."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.audience import audiences, mean_user, user_directions
from jobs.examples.behaviour_vectors import Behaviours, Fit
from jobs.transforms.als import AlsParameters, item_factors, with_user_numbers
from lake.periods import Periods
from models.ranker.examples.shrinkage import Neighbourhood
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


def fit_before(positives: DataFrame, items: DataFrame, day: date, count: int, *, settings: BehaviourSettings) -> Fit:
    """Fits vectors on the log before a day.

    Driver memory: three times ``4 * fine_dim`` bytes per item.

    Args:
        positives: user_id, item_id, event_date.
        items: item_id, item_row.
        day: the day.
        count: number of items.
        settings: settings of the fits.
    """
    dims = settings.coarse_dim, settings.fine_dim, settings.fine_dim
    coarse, fine, audience = (np.zeros((count, dim), np.float32) for dim in dims)
    mean = np.zeros(settings.fine_dim, np.float32)
    ratings = ratings_before(positives, items, day).persist()
    takers = takers_by_row(ratings, count)
    if takers.any():
        for matrix in (coarse, fine):
            factors = item_factors(ratings, take(AlsParameters, settings, dim=matrix.shape[1]))
            matrix[:] = vectors_by_row(factors, count, matrix.shape[1])
        # ``factors`` are now the fine ones.
        directions = user_directions(ratings, factors, settings.fine_dim).persist()
        mean = mean_user(directions, settings.fine_dim)
        audience = vectors_by_row(audiences(ratings, directions, mean), count, settings.fine_dim)
        directions.unpersist()
    ratings.unpersist()
    return Fit(coarse, fine, audience, mean, takers)


def behaviours(
    positives: DataFrame,
    items: DataFrame,
    days: Sequence[date],
    count: int,
    *,
    towards: Neighbourhood | None,
    settings: BehaviourSettings,
) -> tuple[Behaviours, Fit | None]:
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

    Returns:
        The vectors, and the last fit without shrinkage; None if there are no fits.
    """
    fits, last = list[Fit](), None
    for day in days:
        last = fit_before(positives, items, day, count, settings=settings)
        fits.append(last.shrunk(towards, settings.shrinkage))
    return Behaviours.of(fits, days, count, settings), last


def later_behaviours(
    positives: DataFrame,
    items: DataFrame,
    before: Path,
    count: int,
    *,
    day: date | None,
    towards: Neighbourhood | None,
    settings: BehaviourSettings,
) -> tuple[Behaviours, Fit | None]:
    """The vectors of a later night: those of the night before, and one more fit if it is due.

    Without another fit, the last one stands, and the items that are new get vectors by shrinkage alone.

    Args:
        positives: user_id, item_id, event_date.
        items: item_id, item_row.
        before: folder of the search index of the night before.
        count: number of items.
        day: the day of another fit; None if none is due.
        towards: neighbourhoods that the items are shrunk towards; None for no shrinkage.
        settings: settings of the fits.

    Returns:
        The vectors, and the last fit without shrinkage; None if there are no fits.
    """
    vectors = Behaviours.load(before).for_items(count)
    if not len(vectors.behaviour_until):
        return vectors, None
    if day is not None:
        last = fit_before(positives, items, day, count, settings=settings)
        return vectors.adding(last.shrunk(towards, settings.shrinkage), day), last
    last = Fit.load(before).for_items(count)
    return vectors.replacing_last(last.shrunk(towards, settings.shrinkage)), last
