"""Logs of the retrieval benchmark as arrays: Complete Journey, and MovieLens 100k from the ``recbole`` package."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks._ranker_data import ml_100k as ml_100k_files
from demo.complete_journey import TEXT, package_data
from models.llm.prompts import item_text
from models.retriever.background import Background
from models.retriever.histories import UserHistories

END = 2**40
"""A moment after every log, in seconds since 1970."""


@dataclass(frozen=True)
class Log:
    """A whole log.

    Attributes:
        title: name in tables.
        all: every event of every user.
        texts: text of each content, in the order of the contents' numbers.
        tune: days on which settings are chosen.
        tests: days on which methods are measured.
        fit_days_between: days between the moments that fusion learns from.
        fit_moments: how many such moments there are.
        least_history: fewest events before the day for a user to be measured.
    """

    title: str
    all: Background
    texts: tuple[str, ...]
    tune: tuple[str, ...]
    tests: tuple[str, ...]
    fit_days_between: int
    fit_moments: int
    least_history: int


def moment(day: str) -> int:
    """Start of a day in seconds since 1970."""
    return int(pd.Timestamp(day, tz="UTC").timestamp())


def complete_journey() -> Log:
    """All purchases of all households; the text of a product is its content, its type its title."""
    folder = package_data()
    columns = ["household_id", "product_id", "transaction_timestamp"]
    log = pd.read_parquet(folder / "transactions.parquet", columns=columns)
    products = pd.read_parquet(folder / "products.parquet").set_index("product_id")
    items = np.sort(log["product_id"].unique())
    texts = products.reindex(items)[TEXT].astype(object).fillna("")
    log = log.rename(columns={"household_id": "user", "product_id": "item", "transaction_timestamp": "time"})
    known, described = _background(log, items, texts, title="product_type", category="product_category")
    return Log(
        "Complete Journey", known, described, ("2017-10-30",), ("2017-11-06", "2017-11-20", "2017-11-27"), 7, 4, 0
    )


def ml_100k() -> Log:
    """Ratings of at least 4; a film is a content of its own, its genres are its category."""
    with tempfile.TemporaryDirectory() as folder:
        ml_100k_files(Path(folder))
        log = pd.read_parquet(Path(folder) / "input" / "interactions.parquet")
        films = pd.read_parquet(Path(folder) / "input" / "items.parquet").set_index("item_id")
    log = log[log["action"] == "like"].rename(columns={"user_id": "user", "item_id": "item", "event_time": "time"})
    items = np.sort(log["item"].unique())
    texts = films.reindex(items)[["title", "year", "category"]].astype(object).fillna("")
    known, described = _background(log, items, texts, title="title", category="category")
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("1997-12-01", "1998-04-13", freq="7D")]
    return Log("MovieLens 100k", known, described, tuple(days[:6]), tuple(days[8:]), 7, 10, 5)


def _background(
    log: pd.DataFrame, items: np.ndarray, texts: pd.DataFrame, *, title: str, category: str
) -> tuple[Background, tuple[str, ...]]:
    """What is known of all users, and the text of each content."""
    user, users = pd.factorize(log["user"], sort=True)
    seconds = log["time"].to_numpy().astype("datetime64[s]").astype(np.int64)
    item = np.searchsorted(items, log["item"].to_numpy()).astype(np.int32)
    now = np.full(len(users), END, np.int64)
    histories = UserHistories.of(user.astype(np.int64), item, seconds, now=now)
    by = (list(texts.columns), [title], [category])
    groups = [texts.groupby(names, sort=False).ngroup().to_numpy().astype(np.int32) for names in by]
    first = np.unique(groups[0], return_index=True)[1]
    fields = texts.iloc[first].astype(str).to_dict("records")
    extra = [name for name in texts.columns if name not in {title, category}]
    described = (item_text(of[title], of[category], {name: of[name] for name in extra}, None) for of in fields)
    return Background(END, *groups, histories), tuple(described)


DATA = {"complete_journey": complete_journey, "ml_100k": ml_100k}
