"""Hit rates of mined pairs on the following period, for qarm and for the miners of the ``implicit`` package."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from pyspark.sql import DataFrame
from scipy import sparse

from lake.lake import Lake
from lake.periods import split_periods

K = 20
NEIGHBOURS = 200
"""Neighbours that implicit keeps per item; enough for 20 after items with the same content are left out."""

PAIRS_A_DAY = 200


def hit_rates(lake: Lake, pairs: DataFrame, others: tuple[str, ...], own_content_out: bool = False) -> dict[str, float]:
    """HR@20 of qarm's pairs and of implicit's miners on pairs of items that one user took on one day.

    The test pairs are from the period after the train period; at most 200 ordered pairs per user and day are sampled
    with a fixed seed. The miners in ``others`` read each user's distinct items of the whole train period. With
    ``own_content_out``, items with the trigger's content are left out of the test pairs and of the mined pairs, as in
    docs/definitions.md.
    """
    log = lake.warehouse.read("interactions").select("user_id", "item_id", "event_date").toPandas()
    users, items = log["user_id"].astype("category"), log["item_id"].astype("category")
    log = pd.DataFrame({"user": users.cat.codes, "item": items.cat.codes, "day": log["event_date"]})
    periods = split_periods(lake.warehouse.read("interactions"), lake.settings.split)
    train = log[log["day"] < periods.valid_from][["user", "item"]].drop_duplicates()
    later = log[(log["day"] >= periods.valid_from) & (log["day"] < periods.test_from)].drop_duplicates()
    place = {item: n for n, item in enumerate(items.cat.categories)}
    hashes = lake.warehouse.read("items").select("item_id", "content_hash").toPandas().set_index("item_id")
    contents = pd.factorize(hashes["content_hash"].reindex(items.cat.categories))[0]
    if not own_content_out:
        contents = np.arange(len(place))
    held_out = later_pairs(later)
    held_out = held_out[:, contents[held_out[0]] != contents[held_out[1]]]
    found = pairs.where("source = 'item2item'").select("trigger_item_id", "target_item_id", "score").toPandas()
    ours = pd.DataFrame(
        {
            "trigger": found["trigger_item_id"].map(place),
            "target": found["target_item_id"].map(place),
            "score": found["score"],
        }
    )
    rates = {"qarm": _hit_rate(ours, held_out, contents)}
    for name in others:
        rates[name] = _hit_rate(_implicit(name, train, len(place)), held_out, contents)
    return rates


def later_pairs(later: pd.DataFrame) -> np.ndarray:
    """Samples ordered pairs of items of one user and day, shape (2, pairs); ``later`` has columns user, day, item."""
    generator = np.random.default_rng(0)
    drawn = []
    for _, group in later.groupby(["user", "day"], sort=True)["item"]:
        basket = np.sort(group.to_numpy())
        n = min(len(basket) * (len(basket) - 1), PAIRS_A_DAY)
        if n:
            pair = generator.integers(0, len(basket), (2, n))
            drawn.append(basket[pair[:, pair[0] != pair[1]]])
    return np.concatenate(drawn, axis=1).astype(np.int64)


def _hit_rate(found: pd.DataFrame, held_out: np.ndarray, contents: np.ndarray) -> float:
    found = found[contents[found["trigger"]] != contents[found["target"]]]
    best = found.sort_values(["trigger", "score"], ascending=[True, False]).groupby("trigger").head(K)
    keys = best["trigger"].to_numpy(np.int64) * len(contents) + best["target"].to_numpy(np.int64)
    return float(np.isin(held_out[0] * len(contents) + held_out[1], keys).mean())


def _implicit(name: str, train: pd.DataFrame, n_items: int) -> pd.DataFrame:
    kind = {"cosine": CosineRecommender, "bm25": BM25Recommender, "tfidf": TFIDFRecommender}[name]
    ones = np.ones(len(train), np.float32)
    matrix = sparse.csr_matrix((ones, (train["user"], train["item"])), shape=(train["user"].max() + 1, n_items))
    model = kind(K=NEIGHBOURS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(matrix, show_progress=False)
    similar = model.similarity.tocoo()
    return pd.DataFrame({"trigger": similar.row, "target": similar.col, "score": similar.data})
