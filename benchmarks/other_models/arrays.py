"""Reads the arrays of benchmarks/_exported.py, and writes what a model gave.

The scripts of this folder run in an environment of their own (``make yardsticks``) and know nothing of qarm.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Arrays:
    """Examples with their users' histories.

    Attributes:
        folder: folder of the arrays.
    """

    folder: Path

    @cached_property
    def card(self) -> dict[str, Any]:
        """Numbers of users, items and categories."""
        return dict(json.loads((self.folder / "card.json").read_text(encoding="utf-8")))

    @cached_property
    def category(self) -> NDArray[np.int64]:
        """Category of every item; item and category 0 are padding."""
        return np.load(self.folder / "items.npz")["category"]

    @cached_property
    def events(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Items of all users' events, oldest first, one user after the other; where each user's begin."""
        users = np.load(self.folder / "users.npz")
        return users["items"], users["starts"]

    def split(self, name: str) -> Mapping[str, NDArray[Any]]:
        """The columns of a split."""
        return dict(np.load(self.folder / f"{name}.npz"))

    def histories(self, user: NDArray[np.int64], seen: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """The last events before each example, the latest in the last column, padded by 0 in front.

        Args:
            user: user of every example, shape (n,).
            seen: number of the user's events before the example, shape (n,).
            length: number of events.

        Returns:
            Items, shape (n, length).
        """
        items, starts = self.events
        position = seen[:, None] + np.arange(-length, 0)
        there = position >= 0
        return np.where(there, items[np.where(there, starts[user][:, None] + position, 0)], 0)


def main(models: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Trains one model with one setting and seed, and writes its scores.

    Args:
        models: what trains, by the name of the model: from arrays, setting and seed to ``valid_auc``, ``test_scores``,
            ``seconds`` and ``examples`` (trained on, each time counted).
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--model", choices=models, required=True)
    parser.add_argument("--setting", type=json.loads, default={})
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    arrays = Arrays(options.arrays)
    found = models[options.model](arrays, options.setting, options.seed)
    found["examples_per_second"] = found.pop("examples") / found["seconds"]
    np.savez(options.out, test_ids=arrays.split("test")["example_id"], **found)
