"""Behaviour vectors of the items: who takes what, by ALS, fitted several times so that no example sees its future."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from qarm.jobs.als import AlsParameters, item_factors
from qarm.lake.periods import Periods
from qarm.schemas.ranking_sections import BehaviourSettings
from qarm.udfs.arrays import column_matrix


def fit_days(periods: Periods, first_day: date, fits: int) -> list[date]:
    """First days after the logs that vectors are fitted on, ascending.

    The first is that of the train examples, or the day halfway through a train period that gives examples from its
    beginning; the last is that of the validation period; the others lie evenly between.

    Args:
        periods: of the log.
        first_day: of the log.
        fits: wanted; fewer where there are fewer days.
    """
    last = periods.valid_from
    begin = periods.rank_from or first_day + (last - first_day) / 2
    days = (last - begin).days
    return sorted({begin + timedelta(days=round(days * i / (fits - 1))) for i in range(fits)})


def behaviour_vectors(positives: DataFrame, items: DataFrame, until: date, settings: BehaviourSettings) -> DataFrame:
    """Vectors of the items that were taken before a day; none where nothing was.

    Args:
        positives: user_id, item_id, event_date.
        items: item_id, item_row.
        until: first day that the fit does not see.
        settings: of the fit.

    Returns:
        item INT, the items' rows; vector ARRAY<FLOAT> of length 1.
    """
    ratings = (
        positives.where(F.col("event_date") < F.lit(until))
        .join(items.select("item_id", F.col("item_row").cast("int").alias("item")), "item_id", "inner")
        .groupBy(F.col("user_id").alias("user"), "item")
        .agg(F.log1p(F.count("*")).cast("float").alias("rating"))
    )
    if ratings.isEmpty():
        return ratings.select("item", F.array().cast("array<float>").alias("vector"))
    parameters = AlsParameters(
        settings.dim, settings.iterations, settings.regularization, settings.confidence, settings.seed
    )
    return item_factors(ratings, parameters)


def vectors_by_row(vectors: DataFrame, count: int, dim: int) -> NDArray[np.float32]:
    """Gathers vectors as a matrix, 0 for items that have none. Driver memory: three times ``dim * 4`` bytes an item.

    Args:
        vectors: of :func:`behaviour_vectors`.
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


def behaviours(
    positives: DataFrame, items: DataFrame, days: Sequence[date], count: int, settings: BehaviourSettings
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors of every fit, and when the log ends that each knows.

    Driver memory: ``4 * dim`` bytes an item and fit, twice; beside them :func:`vectors_by_row` for one fit.

    Args:
        positives: user_id, item_id, event_date.
        items: item_id, item_row.
        days: of :func:`fit_days`; none for no vectors.
        count: items.
        settings: of the fits.

    Returns:
        Shapes (fits, count, dim) and (fits,), microseconds since 1970.
    """
    fitted = [vectors_by_row(behaviour_vectors(positives, items, day, settings), count, settings.dim) for day in days]
    until = np.array([Periods.microseconds(day) for day in days], np.int64)
    return np.stack(fitted) if fitted else np.zeros((0, count, settings.dim), np.float32), until
