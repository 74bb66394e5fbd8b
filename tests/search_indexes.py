"""Search indexes of random items, as build_examples publishes them, and what is asked of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.past import Past
from models.ranker.examples.search_index import ARRAYS, SearchIndex, pool_file
from models.ranker.examples.targets import HOUR, ExampleParameters, Targets


def random_index(items: int, seed: int = 0) -> SearchIndex:
    """Two behaviour fits, two sources of one pair an item, one window that negatives are drawn within."""
    draw = np.random.default_rng(seed)
    return SearchIndex(
        search_embeddings=draw.normal(size=(items, 8)).astype(np.float32),
        text_embeddings=draw.normal(size=(items, 3)).astype(np.float32),
        codes=draw.integers(0, 5, (items, 3)).astype(np.int32),
        item_index=np.arange(1, items + 1, dtype=np.int32),
        drawing=np.arange(1.0, items + 1)[None],
        drawing_from=np.zeros(1, np.int64),
        category=draw.integers(0, 3, items),
        neighbours=draw.integers(0, items, (items, 3)).astype(np.int32),
        pair_start=np.arange(2 * items + 1),
        pair_trigger=draw.integers(0, items, 2 * items).astype(np.int32),
        pair_score=draw.random(2 * items).astype(np.float32),
        behaviour_coarse=draw.normal(size=(2, items, 2)).astype(np.float32),
        behaviour_fine=draw.normal(size=(2, items, 5)).astype(np.float32),
        behaviour_audience=draw.normal(size=(2, items, 5)).astype(np.float32),
        behaviour_mean=draw.normal(size=(2, 5)).astype(np.float32),
        behaviour_until=np.array([0, 60 * HOUR]),
    )


def write(index: SearchIndex, folder: Path) -> None:
    """The files of the artifact."""
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(index, name))
    for pool, arrays in index.pools.items():
        for name, array in arrays.items():
            np.save(folder / pool_file(pool, name), array)


PARAMETERS = ExampleParameters(recent_length=3, found_length=4, search="embedding", negatives=0, attribution_gap=0)


def asked(
    index: SearchIndex,
    targets: NDArray[np.int64],
    history: NDArray[np.int64],
    *,
    visible: NDArray[np.int64],
    times: NDArray[np.int64] | None = None,
) -> Context:
    """Targets, as item rows, that see so many of the oldest events of a history; at hour 0 where no times are given."""
    n = len(targets)
    when = np.zeros(n, np.int64) if times is None else times
    asked = Targets(targets, when, np.zeros((n, 1), bool), np.zeros(n, np.uint64))
    past = Past.of(history, np.arange(len(history)), np.zeros(len(history), np.int64), index)
    context = Context(asked, past, index, PARAMETERS)
    vars(context)["visible"] = visible  # in place of what the times would say
    return context
