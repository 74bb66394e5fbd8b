from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from jobs.examples.audience import PRIOR, audiences, mean_user, user_directions
from jobs.examples.behaviour import behaviours, fit_days, later_behaviours, vectors_by_row
from lake.frames import frame_of
from lake.periods import Periods
from models.ranker.examples.shrinkage import Neighbourhood, unit
from models.ranker.examples.taste import tastes
from schemas.ranking_sections import BehaviourSettings
from schemas.settings import load_settings

SETTINGS = load_settings(
    (),
    ["examples.behaviour.coarse_dim=2", "examples.behaviour.fine_dim=4", "examples.behaviour.iterations=3"],
).examples.behaviour
DAY = date(2025, 3, 1)


def fitted(fits: int) -> BehaviourSettings:
    return SETTINGS.model_copy(update={"model": "als", "fits": fits})


def test_fits_lie_evenly_between_the_train_examples_and_the_validation_period() -> None:
    periods = Periods(DAY, date(2025, 3, 11), date(2025, 3, 21), date(2025, 3, 25))
    assert fit_days(periods, fitted(2)) == [date(2025, 3, 11), date(2025, 3, 21)]
    assert fit_days(periods, fitted(3)) == [date(2025, 3, 11), date(2025, 3, 16), date(2025, 3, 21)]
    whole = replace(periods, fit_until=periods.valid_from)
    assert fit_days(whole, fitted(2)) == [DAY.replace(day=11), date(2025, 3, 21)], "the first half of the train period"
    short = Periods(DAY, DAY, DAY.replace(day=2), DAY.replace(day=3))
    assert fit_days(short, fitted(5)) == [DAY, DAY.replace(day=2)]
    assert fit_days(periods, SETTINGS.model_copy(update={"model": "none"})) == []


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Users of two groups, each of its own items; item-new is taken from the third day on alone."""
    draw = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"item-{10 * (user % 2) + draw.integers(10)}", DAY.replace(day=day))
        for user in range(40)
        for day in (1, 2, 3)
        for _ in range(6)
    ]
    rows += [(f"u{user}", "item-new", DAY.replace(day=3)) for user in range(0, 40, 2)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "event_date"])


def test_vectors_follow_who_takes_what_before_the_day(spark: SparkSession, log: pd.DataFrame) -> None:
    names = [*(f"item-{n}" for n in range(20)), "item-new", "item-never"]
    items = spark.createDataFrame(pd.DataFrame({"item_id": names, "item_row": range(len(names))}))
    days = [DAY, DAY.replace(day=3), DAY.replace(day=4)]
    found, _ = behaviours(spark.createDataFrame(log), items, days, len(names), towards=None, settings=SETTINGS)
    assert found.behaviour_coarse.shape == (3, len(names), 2)
    assert found.behaviour_fine.shape == (3, len(names), 4)
    assert np.linalg.norm(found.behaviour_coarse[2, :21], axis=1).min() > 0.999
    vectors = found.behaviour_fine
    assert found.behaviour_until.tolist() == [Periods.microseconds(day) for day in days]
    assert not vectors[0].any(), "nothing was taken before the first day"
    assert not vectors[1, 20].any()
    assert not vectors[:, 21].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[2, :21], axis=1), 1, rtol=1e-5)
    cosines = vectors[2, :20] @ vectors[2, :20].T
    within = cosines[:10, :10].mean() + cosines[10:, 10:].mean()
    assert within > 2 * cosines[:10, 10:].mean() + 0.5
    assert (vectors[2, 20] @ vectors[2, :10].T).mean() > (vectors[2, 20] @ vectors[2, 10:20].T).mean() + 0.3


def test_no_days_give_no_vectors(spark: SparkSession, log: pd.DataFrame) -> None:
    found, _ = behaviours(spark.createDataFrame(log), spark.range(0), [], 3, towards=None, settings=SETTINGS)
    assert found.behaviour_fine.shape == (0, 3, 4)
    assert found.behaviour_until.shape == (0,)


def test_what_comes_later_changes_no_earlier_fit(spark: SparkSession, log: pd.DataFrame) -> None:
    items = spark.createDataFrame(pd.DataFrame({"item_id": [f"item-{n}" for n in range(20)], "item_row": range(20)}))
    days = [DAY.replace(day=2), DAY.replace(day=3)]
    later = log["event_date"].where(log["event_date"] != DAY.replace(day=2), DAY.replace(day=4))
    before, after = (
        behaviours(spark.createDataFrame(rows), items, days, 20, towards=None, settings=SETTINGS)[0].behaviour_fine
        for rows in (log, log.assign(event_date=later))
    )
    np.testing.assert_allclose(before[0], after[0], atol=1e-4)
    assert np.abs(before[1] - after[1]).max() > 0.01, "the second fit lost a day"


def test_a_new_item_gets_the_vectors_of_what_is_like_it(spark: SparkSession, log: pd.DataFrame) -> None:
    names = [*(f"item-{n}" for n in range(20)), "item-new"]
    items = spark.createDataFrame(pd.DataFrame({"item_id": names, "item_row": range(len(names))}))
    of_third = np.where(np.arange(21) == 20, 3, -1)[:, None]
    towards = Neighbourhood(np.arange(21), of_third, (of_third >= 0).astype(np.float32))
    found, _ = behaviours(
        spark.createDataFrame(log), items, [DAY.replace(day=3)], 21, towards=towards, settings=SETTINGS
    )
    shrunk = found.behaviour_fine[0]
    np.testing.assert_allclose(shrunk[20], shrunk[3], atol=1e-6)


def test_an_audience_is_the_mean_taste_of_its_takers(spark: SparkSession) -> None:
    draw = np.random.default_rng(3)
    taken = draw.random((30, 12)) < 0.3
    taken[:, 11] = False
    taken[0] = False
    vectors = unit(draw.normal(size=(12, 4)).astype(np.float32))
    ratings = spark.createDataFrame(pd.DataFrame(np.argwhere(taken), columns=["user", "item"]))
    of_items = frame_of(
        spark, [(item, row.tolist()) for item, row in enumerate(vectors)], "item INT, vector ARRAY<FLOAT>"
    )
    directions = user_directions(ratings, of_items, 4)
    mean = mean_user(directions, 4)
    sums = taken @ vectors.astype(np.float64)
    there = taken.any(1)
    np.testing.assert_allclose(mean, unit(sums[there].astype(np.float32)).mean(0), atol=1e-6)
    expected = taken.T @ np.where(there[:, None], tastes(sums, mean), 0) / (taken.sum(0)[:, None] + PRIOR)
    found = vectors_by_row(audiences(ratings, directions, mean), 12, 4)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not found[11].any()


def test_audiences_follow_who_takes_what_before_the_day(spark: SparkSession, log: pd.DataFrame) -> None:
    items = spark.createDataFrame(pd.DataFrame({"item_id": [f"item-{n}" for n in range(20)], "item_row": range(20)}))
    found, _ = behaviours(
        spark.createDataFrame(log), items, [DAY, DAY.replace(day=3)], 20, towards=None, settings=SETTINGS
    )
    assert found.behaviour_audience.shape == (2, 20, 4)
    assert not found.behaviour_audience[0].any(), "nothing was taken before the first day"
    assert not found.behaviour_mean[0].any()
    inner = found.behaviour_audience[1] @ found.behaviour_audience[1].T
    assert min(inner[:10, :10].min(), inner[10:, 10:].min()) > 0.5
    assert inner[:10, 10:].max() < -0.5


@pytest.mark.parametrize("is_due", [False, True])
def test_a_later_night_takes_the_fits_over_and_adds_one_that_is_due(
    spark: SparkSession, log: pd.DataFrame, tmp_path: Path, is_due: bool
) -> None:
    names = [*(f"item-{n}" for n in range(20)), "item-new", "later-1", "later-2"]
    items = spark.createDataFrame(pd.DataFrame({"item_id": names, "item_row": range(len(names))}))
    positives, days = spark.createDataFrame(log), [DAY.replace(day=2), DAY.replace(day=3)]
    before, last = behaviours(positives, items.where("item_row < 21"), days, 21, towards=None, settings=SETTINGS)
    assert last is not None
    last.save(tmp_path)
    for name, array in vars(before).items():
        np.save(tmp_path / f"{name}.npy", array)
    content = np.r_[np.arange(21), 0, 21]  # later-1 has the content of item-0
    towards = Neighbourhood(content, np.full((23, 1), -1), np.zeros((23, 1), np.float32))
    day = DAY.replace(day=4) if is_due else None
    found, _ = later_behaviours(positives, items, tmp_path, 23, day=day, towards=towards, settings=SETTINGS)
    asked = [*days, day] if day else days
    again, _ = behaviours(positives, items, asked, 23, towards=towards, settings=SETTINGS)
    assert found.behaviour_until.tolist() == again.behaviour_until.tolist()
    np.testing.assert_allclose(found.behaviour_fine[-1], again.behaviour_fine[-1], atol=1e-4)
    np.testing.assert_allclose(found.behaviour_audience[-1], again.behaviour_audience[-1], atol=1e-4)
    assert np.linalg.norm(found.behaviour_fine[-1, 21]) == pytest.approx(1), "an item that is new, by its content"
    assert not found.behaviour_fine[-1, 22].any()
    np.testing.assert_array_equal(found.behaviour_fine[0, :21], before.behaviour_fine[0])
    assert not found.behaviour_fine[0, 21:].any()
