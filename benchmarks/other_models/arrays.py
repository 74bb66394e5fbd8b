"""Reads the arrays of benchmarks/_exported.py, and writes what a model gave.

The scripts of this folder run in an environment of their own (``make yardsticks``) and know nothing of qarm.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH, EPOCHS, PATIENCE, SHORT = 1_024, 10, 2, 50
"""Of all deep models: examples in a batch, most epochs, validations without a gain, and events of a short history."""


@dataclass(frozen=True)
class Arrays:
    """Examples with their users' histories.

    Attributes:
        folder: folder of the arrays.
    """

    folder: Path

    @cached_property
    def card(self) -> dict[str, Any]:
        """Numbers of users, items and categories; names of the counts; names of coded columns with their sizes."""
        return dict(json.loads((self.folder / "card.json").read_text(encoding="utf-8")))

    @cached_property
    def category(self) -> NDArray[np.int32]:
        """Category of every item; item and category 0 are padding."""
        return np.load(self.folder / "items.npz")["category"]

    @cached_property
    def events(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Items of all users' events, oldest first, one user after the other; where each user's begin."""
        users = np.load(self.folder / "users.npz")
        return users["items"], users["starts"]

    def split(self, name: str, *columns: str) -> Mapping[str, NDArray[Any]]:
        """Columns of a split."""
        rows = np.load(self.folder / f"{name}.npz")
        return {column: rows[column] for column in columns}

    def histories(
        self, user: NDArray[np.int32], seen: NDArray[np.int32], length: int, *, padded_behind: bool = False
    ) -> NDArray[np.int32]:
        """The last events before each example, oldest first, padded by 0 in front or behind.

        Args:
            user: user of every example, shape (n,).
            seen: number of the user's events before the example, shape (n,).
            length: number of events.
            padded_behind: whether padding stands behind the events.

        Returns:
            Items, shape (n, length).
        """
        items, starts = self.events
        first = np.maximum(seen - length, 0) if padded_behind else seen - length
        position = first[:, None] + np.arange(length, dtype=np.int32)
        there = (position >= 0) & (position < seen[:, None])
        return np.where(there, items[np.where(there, starts[user][:, None] + position, 0)], np.int32(0))


def options_of(models: Collection[str], source: str) -> argparse.Namespace:
    """The command line of a script: what it reads, model, setting, seed, and the file for what the model gave.

    Args:
        models: names of the models.
        source: option that names what is read.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument(source, type=Path, required=True)
    parser.add_argument("--model", choices=models, required=True)
    parser.add_argument("--setting", type=json.loads, default={})
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main(models: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Trains one model with one setting and seed, and writes its scores.

    Args:
        models: what trains, by the name of the model: from arrays, setting and seed to ``valid_auc``, ``test_scores``
            and ``examples_per_second`` (of training; NaN where it has no meaning).
    """
    options = options_of(models, "--arrays")
    arrays = Arrays(options.arrays)
    found = models[options.model](arrays, options.setting, options.seed)
    np.savez(options.out, test_ids=arrays.split("test", "example_id")["example_id"], **found)
