"""Generated users with long histories and a search index, as inputs of the function that builds examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.ranker.examples.negatives import drawing_weights

DIMENSION, ITEMS, CLUSTERS, TRIGGERS = 64, 50_000, 300, 20
DAY = 86_400_000_000
WINDOWS = 12


@dataclass(frozen=True)
class User:
    """One user's history and targets as item rows; earlier events are visible to a target."""

    history: NDArray[np.int64]
    targets: NDArray[np.int64]
    visible: NDArray[np.int64]


def item_vectors() -> NDArray[np.float32]:
    """Unit vectors around cluster centres."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(CLUSTERS, DIMENSION))
    vectors = centres[generator.integers(0, CLUSTERS, ITEMS)] + generator.normal(size=(ITEMS, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def draw_items(generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Samples items by a popularity that falls with the item's number."""
    return (ITEMS * generator.random(count) ** 3).astype(np.int64)


def users_of(length: int, examples: int) -> list[User]:
    """Users with histories of equal length and ``examples`` examples together, at most two examples per event."""
    generator = np.random.default_rng(length)
    each = min(2 * length, examples)
    return [
        User(draw_items(generator, length), draw_items(generator, each), generator.integers(0, length + 1, each))
        for _ in range(examples // each)
    ]


def write_search_index(folder: Path, vectors: NDArray[np.float32]) -> None:
    """Writes the files of the search index's artifact."""
    generator = np.random.default_rng(1)
    arrays = {
        "search_embeddings": vectors,
        "codes": generator.integers(1, 257, (ITEMS, 3)).astype(np.int32),
        "item_index": np.arange(2, ITEMS + 2, dtype=np.int32),
        "drawing": np.cumsum(drawing_weights(generator.integers(1, 50, (ITEMS, WINDOWS)), 0.75), axis=1),
        "drawing_from": np.arange(WINDOWS) * (365 * DAY // WINDOWS),
        "pair_start": np.arange(2 * ITEMS + 1) * TRIGGERS,
        "pair_trigger": generator.integers(0, ITEMS, 2 * ITEMS * TRIGGERS).astype(np.int32),
        "pair_score": generator.random(2 * ITEMS * TRIGGERS).astype(np.float32),
        "text_embeddings": vectors[:0],
        "behaviour_coarse": _directions(generator, (2, ITEMS, 8)),
        "behaviour_fine": _directions(generator, (2, ITEMS, 32)),
        "behaviour_audience": _directions(generator, (2, ITEMS, 32)),
        "behaviour_mean": _directions(generator, (2, 32)),
        "behaviour_until": np.array([0, 180 * DAY]),
        "neighbours": np.zeros((len(vectors), 11), np.int32),
        "category": generator.integers(1, CLUSTERS, ITEMS) * 7919,
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def _directions(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    vectors = generator.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def batch_of(number: int, user: User) -> pa.RecordBatch:
    """A user's events as an Arrow batch, as Spark passes them to the function."""
    generator = np.random.default_rng(number)
    n = len(user.history)
    columns: dict[str, Any] = {
        "user_id": [f"user-{number}"] * n,
        "part": np.zeros(n, np.int32),
        "parts": np.ones(n, np.int32),
        "item_row": user.history,
        "time": np.sort(generator.integers(0, 365 * DAY, n)),
        "labels": np.ones(n, np.int64),
        "impression": np.zeros(n, bool),
        "key": generator.integers(-(2**63), 2**63 - 1, n),
    }
    return pa.RecordBatch.from_pydict(columns)
