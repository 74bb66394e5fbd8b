"""Simple baselines: popularity, and logistic regression and gradient boosting on hand-made features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from benchmarks._later_pairs import Contents
from benchmarks._ranker_models import Examples
from benchmarks._text_vectors import text_vectors
from models.feed.columns import column_matrix
from models.llm.projection import unit
from models.ranker.training.metrics import auc
from schemas.feature import Reads
from schemas.features import FEATURES, PARTS

COUNTS = [feature.name for feature in FEATURES if feature.switch in (None, "counts") and feature.reads is not Reads.ID]
NUMBERS = [feature.name for feature in FEATURES if feature.reads is not Reads.ID]
TOPS = (5, 50)
CELLS = 3_000_000
"""Largest number of similarities between targets and events in memory at a time."""


class Features:
    """Hand-made features: the counts that every model reads, and similarities of the target to the user's history.

    There are two kinds of similarity: the item-item cosine by common users, and the cosine of the unaligned text
    embeddings. The item-item cosine of train examples uses the log before the first of them, that of other examples the
    log before the validation period. The features of each kind are the highest similarity, the means of the 5 and of
    the 50 highest, and the mean of all.

    Args:
        examples: examples to compute the features for.
    """

    def __init__(self, examples: Examples) -> None:
        self.examples = examples
        warehouse = str(examples.warehouse)
        items = deltalake.DeltaTable(f"{warehouse}/items").to_pyarrow_table(columns=["item_id", "content_hash"])
        items = items.to_pandas().sort_values("item_id")
        self.row = {item: row for row, item in enumerate(items["item_id"])}
        contents = Contents.read(warehouse)
        place = {name: number for number, name in enumerate(contents.hashes)}
        self.content = items["content_hash"].map(place).to_numpy()
        self.texts = text_vectors(contents.texts)
        log = deltalake.DeltaTable(f"{warehouse}/interactions").to_pyarrow_table(
            columns=["user_id", "item_id", "event_time", "action"]
        )
        positive = examples.settings.ranking.positive_actions
        frame = log.to_pandas()
        frame = frame[frame["action"].isin(positive)]
        frame["event_time"] = frame["event_time"].dt.tz_localize(None)  # UTC, like the examples' times in Parquet
        frame["row"] = frame["item_id"].map(self.row)
        frame["user"], self.users = pd.factorize(frame["user_id"], sort=True)
        self.log = frame.sort_values(["user", "event_time", "row"])

    def table(self, split: str, before: pd.Timestamp) -> tuple[pd.DataFrame, np.ndarray]:
        """Features and labels of a split, in the order of its files.

        Args:
            split: split of the examples.
            before: end of the log, exclusive, that item-item cosines are computed from.
        """
        columns = ["user_id", "item_id", "event_time", f"label_{self.examples.task}", *COUNTS]
        paths = self.examples.paths(split)
        rows = pd.concat([_read(path, columns) for path in paths], ignore_index=True)
        rows["row"] = rows["item_id"].map(self.row)
        matrix = self._user_vectors(before)
        number = {user: place for place, user in enumerate(self.users)}
        history = self.log.groupby("user").indices
        names = [f"{kind}_{part}" for kind in ("taken_with", "text") for part in ("top5", "top50", "mean", "best")]
        similar = np.zeros((len(rows), len(names)), np.float32)
        for user, places in rows.groupby("user_id").indices.items():
            events = self.log.iloc[history[number[user]]]
            similar[places] = self._similar(rows.iloc[places], events, matrix)
        features = pd.concat([rows[COUNTS], pd.DataFrame(similar, columns=names)], axis=1)
        return features, rows[f"label_{self.examples.task}"].to_numpy()

    def _user_vectors(self, before: pd.Timestamp) -> np.ndarray:
        seen = self.log[self.log["event_time"] < before]
        matrix = np.zeros((len(self.row), len(self.users)), np.float32)
        matrix[seen["row"], seen["user"]] = 1
        return unit(matrix)

    def _similar(self, targets: pd.DataFrame, events: pd.DataFrame, matrix: np.ndarray) -> np.ndarray:
        """Similarity features of one user's targets from the events strictly before them, shape (n, 8)."""
        taken, place = np.unique(events["row"], return_inverse=True)
        asked, which = np.unique(targets["row"], return_inverse=True)
        visible = np.searchsorted(events["event_time"].to_numpy(), targets["event_time"].to_numpy(), side="left")
        kinds = (
            (matrix[asked] @ matrix[taken].T)[:, place],
            (self.texts[self.content[asked]] @ self.texts[self.content[taken]].T)[:, place],
        )
        out = np.zeros((len(targets), 4 * len(kinds)), np.float32)
        for part in np.array_split(np.arange(len(targets)), max(1, len(targets) * len(events) // CELLS)):
            unseen = np.arange(len(events)) >= visible[part, None]
            for number, scores in enumerate(kinds):
                out[part, 4 * number : 4 * number + 4] = _summary(
                    np.where(unseen, 0, scores[which[part]]), visible[part]
                )
        return out


def _summary(scores: np.ndarray, visible: np.ndarray) -> np.ndarray:
    most = min(max(TOPS), scores.shape[1])
    best = -np.sort(-(np.partition(scores, -most, axis=1)[:, -most:]), axis=1)
    tops = [best[:, :k].sum(1) / np.clip(visible, 1, k) for k in TOPS]
    return np.stack([*tops, scores.sum(1) / np.maximum(visible, 1), best[:, 0]], axis=1)


def plain(data: str, folder: Path, seeds: int) -> dict[str, Any]:
    """Scores of the simple baselines on the test split.

    Returns:
        ``ids`` of the test examples, and by model and seed their scores.
    """
    features = Features(Examples.of(data, folder, "embedding"))
    first = {split: first_time(features.examples, split) for split in ("train", "valid")}
    train, labels = features.table("train", first["train"])
    test, _ = features.table("test", first["valid"])
    ids = features.examples.described("test")["example_id"].astype(str)
    found: dict[str, Any] = {"ids": ids, "popularity 0": test["item_events"].to_numpy()}
    linear = make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression(max_iter=1000))
    found["logistic regression 0"] = linear.fit(_positive(train), labels).predict_proba(_positive(test))[:, 1]
    for seed in range(seeds):
        boosted = HistGradientBoostingClassifier(max_iter=500, early_stopping=True, random_state=seed)
        found[f"gradient boosting {seed}"] = boosted.fit(train, labels).predict_proba(test)[:, 1]
    return found


def on_the_rankers_numbers(data: str, folder: Path) -> float:
    """Validation AUC of gradient boosting on all numeric inputs of QARM V2's head."""
    examples = Examples.of(data, folder, "embedding")
    train, valid = (numbers(examples, split) for split in ("train", "valid"))
    boosted = HistGradientBoostingClassifier(max_iter=500, early_stopping=True, random_state=0)
    return auc(valid[1], boosted.fit(*train).predict_proba(valid[0])[:, 1])


def numbers(examples: Examples, split: str) -> tuple[np.ndarray, np.ndarray]:
    """All numeric inputs of QARM V2's head, and the labels, in the order of a split's files."""
    label = f"label_{examples.task}"
    tables = [pq.read_table(path, columns=[label, *NUMBERS], partitioning=None) for path in examples.paths(split)]
    rows = pa.concat_tables(tables)
    several = {name: pa.types.is_nested(rows[name].type) for name in NUMBERS}
    values = [
        column_matrix(rows[name], PARTS.get(name, ())) if several[name] else rows[name].to_numpy()[:, None]
        for name in NUMBERS
    ]
    return np.concatenate(values, axis=1).astype(np.float32), rows[label].to_numpy()


def _positive(features: pd.DataFrame) -> np.ndarray:
    return features.clip(lower=0).to_numpy(np.float64)


def first_time(examples: Examples, split: str) -> pd.Timestamp:
    return min(_read(path, ["event_time"])["event_time"].min() for path in examples.paths(split)).normalize()


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    return pq.read_table(path, columns=columns, partitioning=None).to_pandas()
