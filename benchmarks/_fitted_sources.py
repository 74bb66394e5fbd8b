"""Swing's pairs and the two towers of a log in memory, by the settings and kernels of the product, without Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse

from models.pairs.nearest import recent_before
from models.pairs.swing import SwingParameters, UserItems, swing
from models.pairs.two_tower import TowerShape, TowerTraining, train_two_tower
from models.retriever.background import Background
from models.retriever.towers import Towers
from schemas.parameters import take
from schemas.settings import Settings


def swing_pairs(known: Background, settings: Settings) -> sparse.csr_matrix:
    """Swing's scores as shares of each trigger's best, trigger in the rows, target in the columns.

    Args:
        known: what was known when the pairs were mined.
        settings: the section ``[mine]``, without its age of events.
    """
    mine, own = settings.mine, known.histories
    newest = pd.DataFrame({"user": own.user, "item": own.item, "time": own.time}).iloc[::-1]
    newest = newest.drop_duplicates(["user", "item"])
    newest = newest[newest.groupby("user")["item"].transform("size") >= mine.min_user_items]
    newest = newest[newest.groupby("user").cumcount() < mine.max_user_items].sort_values(["user", "item"])
    user, item = newest["user"].to_numpy(), newest["item"].to_numpy().astype(np.int32)
    drawn = newest.assign(draw=np.random.default_rng(0).random(len(newest)))
    layout = UserItems(
        start=np.flatnonzero(np.diff(user, prepend=-1, append=-1)).astype(np.int64),
        items=item,
        is_trigger=(drawn.groupby("item")["draw"].rank() <= mine.max_item_users).to_numpy(),
        tie_break=pd.util.hash_array(np.arange(known.items)),
        popularity=np.maximum(np.bincount(item, minlength=known.items), 1),
        total_users=int(newest["user"].nunique()),
        contents=known.content if mine.exclude_same_content else None,
    )
    pairs = swing(layout, take(SwingParameters, mine))
    best = np.zeros(known.items)
    np.maximum.at(best, pairs.trigger, pairs.score)
    scores = (pairs.score / np.maximum(best[pairs.trigger], 1e-30)).astype(np.float32)
    return sparse.csr_matrix((scores, (pairs.trigger, pairs.target)), shape=(known.items, known.items))


def two_towers(known: Background, texts: Sequence[str], settings: Settings, *, seed: int) -> Towers:
    """The two towers, trained on the events of all users.

    Features of an item are the words of its content's text, hashed as the product hashes words of titles.

    Args:
        known: what was known when they were trained.
        texts: text of each content.
        settings: the sections ``[mine.user2item]`` and ``[retrieve]``.
        seed: seed of the initial weights and the order of examples.
    """
    chosen, own = settings.mine.user2item, known.histories
    popularity = np.bincount(own.item, minlength=known.items)
    number = np.empty(known.items, np.int64)
    number[np.argsort(-popularity, kind="stable")] = np.arange(known.items)
    words = [[*dict.fromkeys(text.replace(",", " ").split())][: chosen.features] for text in texts]
    of_content = np.zeros((len(texts), chosen.features), np.int64)
    for row, own_words in enumerate(words):
        hashed = pd.util.hash_array(np.array(own_words, dtype=object)) % chosen.feature_rows + 1
        of_content[row, : len(own_words)] = hashed.astype(np.int64)
    features = torch.from_numpy(of_content[known.content])
    recent = recent_before(own.user, own.time, number[own.item].astype(np.int32), chosen.recent_length, 0)
    places = np.flatnonzero(recent[:, 0] >= 0)
    log_q = torch.from_numpy(np.log(np.maximum(popularity, 1) / popularity.sum()).astype(np.float32))
    draw = np.random.default_rng(seed)

    def epoch(_: int) -> Iterator[dict[str, torch.Tensor]]:
        order = draw.permutation(places)
        for start in range(0, len(order), chosen.batch_size):
            rows = order[start : start + chosen.batch_size]
            item = own.item[rows]
            yield {
                "item": torch.from_numpy(number[item]),
                "features": features[item],
                "recent": torch.from_numpy(recent[rows].astype(np.int64)),
                "log_q": log_q[item],
            }

    shape = take(TowerShape, chosen, item_rows=min(chosen.item_rows, known.items))
    model, _ = train_two_tower(shape, epoch, take(TowerTraining, chosen, seed=seed))
    vectors = _item_vectors(model, number, features)
    return Towers(model, number, vectors, chosen.recent_length, settings.retrieve.candidates["two_tower"])


@torch.inference_mode()
def _item_vectors(model: torch.nn.Module, number: NDArray[np.int64], features: torch.Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = model.item_vectors(torch.from_numpy(number), features).numpy()
    return found
