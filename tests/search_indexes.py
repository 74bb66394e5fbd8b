"""A catalogue of random items, as build_examples publishes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.ranker.examples.targets import HOUR, Catalogue


def random_catalogue(items: int, seed: int = 0) -> Catalogue:
    """Two behaviour fits, two sources of one pair an item, one window that negatives are drawn within."""
    draw = np.random.default_rng(seed)
    return Catalogue(
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


def write(catalogue: Catalogue, folder: Path) -> None:
    """The files of the catalogue's artifact."""
    for name, array in vars(catalogue).items():
        np.save(folder / f"{name}.npy", array)
