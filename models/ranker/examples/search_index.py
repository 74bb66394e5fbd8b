"""The search index: attributes of all items, read when a user's history is searched and features are computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.triggers import Triggers


@dataclass(frozen=True)
class SearchIndex:
    """Attributes of all items, which build_examples publishes: memory-mapped arrays with one row per item.

    Attributes:
        search_embeddings: embeddings for the GSU, shape (items, d).
        text_embeddings: embeddings of the unaligned model, shape (items, d); shape (0, d) if the search embeddings are
            unaligned themselves.
        codes: semantic-ID codes + 1, 0 for none, shape (items, 3).
        item_index: row of the ranker's item table, see :data:`models.ranker.examples.targets.UNKNOWN`, shape (items,).
        drawing: cumulative sums of the items' sampling weights for negatives in each window, shape (windows, items);
            see :func:`models.ranker.examples.negatives.drawing_weights`.
        drawing_from: start of each window, microseconds since 1970, shape (windows,).
        category: hash of the category, 0 for none, shape (items,).
        neighbours: rows of the ranker's item table for the item's content and its nearest items, padded with 0, shape
            (items, k).
        pair_start, pair_trigger, pair_score: see :class:`models.ranker.examples.triggers.Triggers`.
        behaviour_coarse, behaviour_fine: behaviour vectors of every fit, oldest fit first: unit vectors, or 0 for an
            item without events before the fit; shape (fits, items, d), with a smaller d for coarse vectors.
        behaviour_audience: mean taste of the users who took each item, by the fine vectors of every fit, see
            :mod:`models.ranker.examples.taste`; shape (fits, items, d).
        behaviour_mean: mean user vector of every fit, by the fine vectors, shape (fits, d).
        behaviour_until: end of the log that each fit used, exclusive, microseconds since 1970, shape (fits,).
        pools: what each pool of negatives prepared, by the names of pool and array, see
            :meth:`models.ranker.examples.pool.Pool.prepare`; only of the pools that negatives are drawn from.
    """

    search_embeddings: NDArray[np.float32]
    text_embeddings: NDArray[np.float32]
    codes: NDArray[np.int32]
    item_index: NDArray[np.int32]
    drawing: NDArray[np.float64]
    drawing_from: NDArray[np.int64]
    category: NDArray[np.int64]
    neighbours: NDArray[np.int32]
    pair_start: NDArray[np.int64]
    pair_trigger: NDArray[np.int32]
    pair_score: NDArray[np.float32]
    behaviour_coarse: NDArray[np.float32]
    behaviour_fine: NDArray[np.float32]
    behaviour_audience: NDArray[np.float32]
    behaviour_mean: NDArray[np.float32]
    behaviour_until: NDArray[np.int64]
    pools: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)

    @property
    def triggers(self) -> Triggers:
        """The triggers of all items, from mined pairs."""
        return Triggers(self.pair_start, self.pair_trigger, self.pair_score)

    @classmethod
    def load(cls, folder: Path) -> SearchIndex:
        """The arrays in a folder, memory-mapped."""
        arrays = {name: _mapped(folder / f"{name}.npy") for name in ARRAYS}
        pools: dict[str, dict[str, NDArray[Any]]] = {}
        for file in sorted(folder.glob("pool-*.npy")):
            _, pool, name = file.stem.split("-")
            pools.setdefault(pool, {})[name] = _mapped(file)
        return cls(**arrays, pools=pools)


ARRAYS = tuple(one.name for one in fields(SearchIndex) if one.name != "pools")
"""Names of the arrays that every search index has, each a file ``<name>.npy``."""


def _mapped(file: Path) -> NDArray[Any]:
    """A memory-mapped array as a plain one; taking rows of a ``memmap`` runs Python code of its class each time."""
    array: NDArray[Any] = np.load(file, mmap_mode="r")
    return array.view(np.ndarray)


def pool_file(pool: str, name: str) -> str:
    """Name of the file of an array that a pool of negatives prepared."""
    return f"pool-{pool}-{name}.npy"
