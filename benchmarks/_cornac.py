"""Lists by models of the package Cornac, in an environment of its own (``make yardsticks``), on the same log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks._ranker_data import ROOT
from benchmarks._retriever_data import Log, moment
from benchmarks._scripts import run_script

PYTHON = ROOT / ".venv-cornac" / "bin" / "python"
SCRIPT = ROOT / "benchmarks" / "other_models" / "lists.py"
MOST = 1_000
"""Items of a list beyond which nothing is written; lists without what a user took need more than 100."""


@dataclass(frozen=True)
class Other:
    """A model of Cornac.

    Attributes:
        title: name in tables.
        model: its name in the script.
        seeded: whether its result depends on a seed.
        settings: settings by data set. ``events`` is the number of each user's last events that it is trained on.
    """

    title: str
    model: str
    seeded: bool
    settings: Mapping[str, Mapping[str, Any]]


CORNAC = {
    "cornac_tifu_knn": Other("TIFUKNN (Cornac)", "tifu_knn", False, {"complete_journey": {}, "ml_100k": {}}),
    "cornac_sasrec": Other(
        "SASRec (Cornac)", "sasrec", True,
        {"complete_journey": {"n_epochs": 3, "events": 100}, "ml_100k": {"n_epochs": 10, "events": 500}},
    ),
    "cornac_tiger": Other(
        "TIGER (Cornac)", "tiger", True,
        {
            "complete_journey": {"n_epochs": 3, "events": 100, "n_beams": 50},
            "ml_100k": {"n_epochs": 10, "events": 500, "n_beams": 100},
        },
    ),
}  # fmt: skip
"""Epochs keep each training within an hour on two cores; each is Cornac's default but for those and ``events``."""


def installed() -> bool:
    """Whether ``make yardsticks`` has made the environment."""
    return PYTHON.exists()


@dataclass(frozen=True)
class OthersLists:
    """What one model gave: items and scores of each day's users, shape (users, most)."""

    of_day: Mapping[str, tuple[NDArray[np.int32], NDArray[np.float32]]]
    items: int

    def scores(self, day: str, rows: slice) -> sparse.csr_matrix:
        """Scores of some of a day's users, shape (users, items)."""
        items, scores = (part[rows] for part in self.of_day[day])
        places = (np.repeat(np.arange(len(items)), items.shape[1]), items.ravel())
        return sparse.csr_matrix((scores.ravel(), places), (len(items), self.items))


def lists_of(
    name: str, data: str, log: Log, asked: Mapping[str, NDArray[np.int64]], *, vectors: NDArray[np.float32], seed: int,
    folder: Path,
) -> OthersLists:  # fmt: skip
    """Trains a model on what came before the first day, and gives the lists of all days; what is there is read.

    Args:
        name: the model, of :data:`CORNAC`.
        data: name of the data set.
        log: the log.
        asked: the users of each day.
        vectors: vector of each content.
        seed: seed of the model.
        folder: folder of what was made before.
    """
    other, until = CORNAC[name], moment(min(asked))
    known = log.all
    said = [
        other.settings[data],
        SCRIPT.read_text(encoding="utf-8"),
        [*asked],
        [len(users) for users in asked.values()],
    ]
    out = folder / f"{data}_{name}_{sha256(json.dumps(said).encode()).hexdigest()[:8]}_{seed}.npz"
    if not out.exists():
        own = known.histories
        given = {"offsets": own.offsets, "item": own.item, "time": own.time, "vectors": vectors[known.content]}
        given |= {"until": until, "most": MOST, "moments": np.array([moment(day) for day in asked])}
        given |= {f"asked_{moment(day)}": users for day, users in asked.items()}
        source, half = folder / "cornac_log.npz", folder / "cornac_lists.npz"
        np.savez(source, **given)
        setting = json.dumps(other.settings[data])
        arguments = ["--log", str(source), "--model", other.model, "--seed", str(seed)]
        run_script(PYTHON, SCRIPT, *arguments, "--setting", setting, "--out", str(half))
        half.rename(out)
        source.unlink()
    found = np.load(out)
    days = {day: (found[f"items_{moment(day)}"], found[f"scores_{moment(day)}"]) for day in asked}
    return OthersLists(days, known.items)
