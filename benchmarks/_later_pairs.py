"""Pairs of contents mined from the period after the fit, and hit rates of embeddings on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import deltalake
import faiss
import numpy as np
import pandas as pd

from benchmarks import _pair_hits
from models.llm.prompts import item_text
from models.pairs.swing import SwingParameters, UserItems, swing
from schemas.parameters import take
from schemas.sections import MineSettings

KS = (1, 10, 50)


@dataclass(frozen=True)
class Contents:
    """The distinct contents, numbered from 0, and the log by these numbers.

    Attributes:
        texts: text of each content.
        hashes: hash of each content.
        log: columns user_id, content, event_date.
    """

    texts: list[str]
    hashes: list[str]
    log: pd.DataFrame

    @classmethod
    def read(cls, warehouse: str) -> Contents:
        """Reads a warehouse's items and log."""
        fields = ["title", "category", "attributes", "description"]
        items = _table(warehouse, "items", ["item_id", "content_hash", *fields])
        items["content"], hashes = pd.factorize(items["content_hash"], sort=True)
        first = items.drop_duplicates("content").sort_values("content")
        texts = [
            item_text(title, category, dict(attributes if attributes is not None else ()), description)
            for title, category, attributes, description in first[fields].itertuples(index=False)
        ]
        log = _table(warehouse, "interactions", ["user_id", "item_id", "event_date"])
        log["content"] = log["item_id"].map(items.set_index("item_id")["content"])
        return cls(texts, list(hashes), log.drop(columns="item_id"))


def _table(warehouse: str, name: str, columns: list[str]) -> pd.DataFrame:
    return deltalake.DeltaTable(f"{warehouse}/{name}").to_pyarrow_table(columns=columns).to_pandas()


def mined(log: pd.DataFrame, contents: int, mine: MineSettings) -> pd.DataFrame:
    """Swing pairs of contents with the job's constants: trigger, target, score."""
    taken = log[["user_id", "content"]].drop_duplicates().sort_values(["user_id", "content"])
    taken = taken[taken.groupby("user_id")["content"].transform("size") >= mine.min_user_items]
    users = pd.factorize(taken["user_id"])[0]
    hashes = np.random.default_rng(0).permutation(contents).astype(np.uint64)
    layout = UserItems(
        start=np.r_[0, np.cumsum(np.bincount(users))].astype(np.int64),
        items=taken["content"].to_numpy(np.int32),
        is_trigger=np.ones(len(taken), bool),
        tie_break=hashes,
        popularity=np.bincount(taken["content"], minlength=contents).astype(np.int64),
        total_users=int(users.max()) + 1,
    )
    found = swing(layout, take(SwingParameters, mine))
    return pd.DataFrame({"trigger": found.trigger, "target": found.target, "score": found.score})


def hit_rates(vectors: np.ndarray, pairs: pd.DataFrame) -> dict[str, float]:
    """HR@1, HR@10 and HR@50: share of pairs whose target is among the k contents nearest to the trigger.

    Args:
        vectors: unit vectors, shape (contents, d).
        pairs: columns trigger and target; without pairs, the rates are NaN.
    """
    triggers, which = np.unique(pairs["trigger"].to_numpy(), return_inverse=True)
    if not len(triggers):
        return {f"hr@{k}": float("nan") for k in KS}
    vectors = np.ascontiguousarray(vectors, np.float32)
    _, near = faiss.knn(vectors[triggers], vectors, max(KS) + 1, metric=faiss.METRIC_INNER_PRODUCT)
    order = np.argsort(near == triggers[:, None], axis=1, kind="stable")  # moves the trigger itself to the end
    near = np.take_along_axis(near, order, 1)[:, :-1]
    hits = near[which] == pairs["target"].to_numpy()[:, None]
    return {f"hr@{k}": float(hits[:, :k].any(1).mean()) for k in KS}


def slices(test: pd.DataFrame, train: pd.DataFrame, contents: int, mine: MineSettings) -> dict[str, pd.DataFrame]:
    """Slices of the later period's pairs: all mined pairs, pairs new since the fit's period, and cold contents' pairs.

    A content without events in the fit's period is cold. Cold contents have too few users to mine pairs, so their pairs
    are made from the other contents that the same user took on the same day; the target had events in the fit's period.

    Args:
        test: log of the later period.
        train: log of the fit's period.
        contents: number of contents.
        mine: settings of pair mining.
    """
    later, earlier = mined(test, contents, mine), mined(train, contents, mine)
    key = ["trigger", "target"]
    known = later.merge(earlier[key], on=key, how="left", indicator=True)["_merge"].to_numpy() == "both"
    bought = test.rename(columns={"user_id": "user", "content": "item", "event_date": "day"}).drop_duplicates()
    daily = pd.DataFrame(_pair_hits.later_pairs(bought).T, columns=key).drop_duplicates()
    warm = train["content"].unique()
    cold = daily[~daily["trigger"].isin(warm) & daily["target"].isin(warm)]
    return {"all": later, "new": later[~known], "cold": cold}


def as_json(values: dict[str, Any]) -> dict[str, Any]:
    """Replaces NaN by None, because JSON has no NaN."""
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in values.items()}
