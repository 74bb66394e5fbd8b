"""Models of other people's packages on the same examples: each runs in an environment of its own, on arrays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._exported import export
from benchmarks._ranker_data import ROOT
from benchmarks._ranker_models import Examples

PYTHON = ROOT / ".venv-yardsticks" / "bin" / "python"
SCRIPTS = ROOT / "benchmarks" / "other_models"
GRID = [
    {"learning_rate": rate, "embedding_dim": width, "dropout": 0.1}
    for rate, width in product((3e-4, 1e-3, 3e-3), (16, 64))
]
"""The settings that each of the deep models is tried with; the best by validation AUC is taken. QARM V2 is tried with
one, the settings as they come."""
TRIALS = 200


@dataclass(frozen=True)
class Other:
    """A model of another package.

    Attributes:
        script: the script of :data:`SCRIPTS` that trains it.
        settings: the settings that it is tried with.
    """

    script: str
    settings: Sequence[Mapping[str, Any]]


OTHERS = {
    **{f"{name} (deepctr-torch)": Other("deepctr.py", GRID) for name in ("DIN", "DIEN")},
    **{f"{name} (FuxiCTR)": Other("longctr.py", GRID) for name in ("DIN", "DIEN", "SIM", "ETA", "SDIM", "TWIN")},
    "LightGBM (tuned)": Other("boosting.py", [{"trials": TRIALS}]),
}


def installed() -> bool:
    """Whether ``make yardsticks`` has made the environment."""
    return PYTHON.exists()


def scored(data: str, folder: Path, name: str, *, seed: int, made: Path) -> None:
    """Trains a model with the best of its settings, and writes its scores of the test split to ``made``.

    Each setting is tried with the first seed; what was tried before is not tried again.
    """
    other, arrays = OTHERS[name], export(Examples.of(data, folder, "embedding"), folder / "others")
    tried = [arrays / f"{name} setting {number}.npz" for number in range(len(other.settings))]
    for setting, out in zip(other.settings, tried, strict=True):
        if not out.exists():
            _run(other, arrays, name, setting=setting, seed=0, out=out)
    best = int(np.argmax([float(np.load(out)["valid_auc"]) for out in tried]))
    if seed == 0:
        shutil.copy(tried[best], made)
    else:
        _run(other, arrays, name, setting=other.settings[best], seed=seed, out=made)


def _run(other: Other, arrays: Path, name: str, *, setting: Mapping[str, Any], seed: int, out: Path) -> None:
    command = [str(PYTHON), str(SCRIPTS / other.script), "--arrays", str(arrays), "--model", name, "--seed", str(seed)]
    partial = out.with_suffix(".partial.npz")
    subprocess.run([*command, "--setting", json.dumps(setting), "--out", str(partial)], check=True, env={**os.environ})
    partial.rename(out)
