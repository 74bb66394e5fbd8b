"""Trains a model of Cornac on a log and writes every user's best items, for benchmarks.retriever.

It runs in an environment of its own (``make yardsticks``) and knows nothing of qarm.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from arrays import options_of
from cornac.data import BasketDataset, FeatureModality, SequentialDataset
from cornac.models import TIFUKNN, TIGER, SASRec
from cornac.models.tiger import GRID_CONFIG
from numpy.typing import NDArray

DAY = 86_400
SMALL = {"d_model": 64, "d_ff": 256, "num_heads": 4, "d_kv": 16, "num_enc_layers": 2, "num_dec_layers": 2}
"""TIGER's transformer as small as the other models of the benchmark; as it comes, an epoch takes hours here."""


@dataclass(frozen=True)
class Log:
    """The events of all users, oldest first, one user after the other.

    Attributes:
        offsets: start of each user's events, and at the end their number.
        item, time: of each event; seconds since 1970.
        vectors: of each item's text.
        until: end of what a model is trained on, seconds since 1970.
    """

    offsets: NDArray[np.int64]
    item: NDArray[np.int32]
    time: NDArray[np.int64]
    vectors: NDArray[np.float32]
    until: int

    def before(self, user: int, moment: int) -> tuple[list[int], list[int]]:
        """Items and days of a user's events before a moment."""
        start, stop = self.offsets[user], self.offsets[user + 1]
        stop = start + np.searchsorted(self.time[start:stop], moment)
        return self.item[start:stop].tolist(), (self.time[start:stop] // DAY).tolist()

    @property
    def users(self) -> int:
        """Number of users."""
        return len(self.offsets) - 1

    @property
    def items(self) -> OrderedDict[int, int]:
        """All items, so that a model's numbers are those of the log."""
        return OrderedDict((item, item) for item in range(len(self.vectors)))

    def sessions(self, most: int) -> SequentialDataset:
        """The last events of each user before :attr:`until` as one session."""
        rows = []
        for user in range(self.users):
            items, days = self.before(user, self.until)
            rows += [(user, user, item, day) for item, day in zip(items[-most:], days[-most:], strict=True)]
        made = SequentialDataset.build(rows, fmt="USIT", global_iid_map=self.items)
        made.item_feature = FeatureModality(features=self.vectors, ids=[*range(len(self.vectors))])
        made.item_feature.build(id_map=made.iid_map)
        return made

    def baskets(self) -> BasketDataset:
        """The days of each user before :attr:`until` as baskets."""
        rows = []
        for user in range(self.users):
            items, days = self.before(user, self.until)
            rows += [(user, (user, day), item, day) for item, day in zip(items, days, strict=True)]
        return BasketDataset.build(rows, fmt="UBIT", global_iid_map=self.items)


Scores = Callable[[list[int], list[int]], NDArray[Any]]
"""From items and days of a history to the scores of all items."""


def tifu_knn(log: Log, setting: Mapping[str, Any], _: int) -> Scores:
    """TIFU-kNN; its neighbours' vectors are averaged to one number, as Cornac 3.0.1 does."""
    model = TIFUKNN(**setting).fit(log.baskets())

    def scores(items: list[int], days: list[int]) -> NDArray[Any]:
        baskets: dict[int, list[int]] = {}
        for item, day in zip(items, days, strict=True):
            baskets.setdefault(day, []).append(item)
        return np.asarray(model.score(0, [*baskets.values()]))

    return scores


def sasrec(log: Log, setting: Mapping[str, Any], seed: int) -> Scores:
    """SASRec; scores are probabilities, as those of the items of a content are summed."""
    own = dict(setting)
    model = SASRec(seed=seed, **{name: value for name, value in own.items() if name != "events"})
    model.fit(log.sessions(own["events"]))

    def scores(items: list[int], _: list[int]) -> NDArray[Any]:
        logits = np.asarray(model.score(0, items), np.float64)
        chances = np.exp(logits - logits.max())
        return chances / chances.sum()

    return scores


def tiger(log: Log, setting: Mapping[str, Any], seed: int) -> Scores:
    """TIGER by Cornac's recipe of the GRID handbook, with a smaller transformer; the last weights are taken."""
    own = {**GRID_CONFIG, **SMALL, "model_selection": "last", **setting}
    model = TIGER(seed=seed, **{name: value for name, value in own.items() if name != "events"})
    model.fit(log.sessions(own["events"]))

    def scores(items: list[int], _: list[int]) -> NDArray[Any]:
        found = np.asarray(model.score(0, items))
        return np.where(found > -1e9, np.exp(np.maximum(found, -60.0)), 0)

    return scores


MODELS = {"tifu_knn": tifu_knn, "sasrec": sasrec, "tiger": tiger}


def best(scores: NDArray[Any], most: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The best items and their scores, moved above 0 in the same order."""
    order = np.argsort(-scores, kind="stable")[:most]
    return order.astype(np.int32), (scores[order] - scores.min()).astype(np.float32)


def main() -> None:
    """Trains one model, and writes items and scores for each moment: ``items_<moment>`` and ``scores_<moment>``."""
    options = options_of(MODELS, "--log")
    given = np.load(options.log)
    log = Log(given["offsets"], given["item"], given["time"], given["vectors"], int(given["until"]))
    started = time.monotonic()
    scores = MODELS[options.model](log, options.setting, options.seed)
    found: dict[str, Any] = {"seconds": time.monotonic() - started}
    for moment in given["moments"].tolist():
        lists = [best(scores(*log.before(user, moment)), int(given["most"])) for user in given[f"asked_{moment}"]]
        found[f"items_{moment}"] = np.stack([items for items, _ in lists])
        found[f"scores_{moment}"] = np.stack([own for _, own in lists])
    np.savez(options.out, **found)


if __name__ == "__main__":
    main()
