"""Models of other people's packages on the same examples: each runs in an environment of its own, on arrays."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._exported import place_of
from benchmarks._ranker_data import ROOT
from benchmarks._ranker_models import Examples
from benchmarks._scripts import run_script

PYTHON = ROOT / ".venv-yardsticks" / "bin" / "python"
SCRIPTS = ROOT / "benchmarks" / "other_models"
FOLDER = "others"
"""Name of the folder of the arrays, and of what was tried, beside the warehouses."""
GRID = [
    {"learning_rate": rate, "embedding_dim": width, "dropout": 0.1}
    for rate, width in product((3e-4, 1e-3, 3e-3), (16, 64))
]
"""The settings that each of the deep models is tried with; the best by validation AUC is taken."""
TRIALS = 200
OWN_NUMBERS = "LightGBM on QARM V2's numbers (tuned)"
"""Shows what attention and embeddings add to QARM V2's numbers; it is no model of other people alone."""


@dataclass(frozen=True)
class Other:
    """A model of another package.

    Attributes:
        script: the script of :data:`SCRIPTS` that trains it.
        settings: the settings that it is tried with.
        alone: whether it takes all cores.
    """

    script: str
    settings: Sequence[Mapping[str, Any]]
    alone: bool = False


OTHERS = {
    **{f"{name} (deepctr-torch)": Other("deepctr.py", GRID) for name in ("DIN", "DIEN")},
    **{f"{name} (FuxiCTR)": Other("longctr.py", GRID) for name in ("DIN", "DIEN", "SIM", "ETA", "SDIM", "TWIN")},
    "LightGBM (tuned)": Other("boosting.py", [{"trials": TRIALS, "columns": "features"}], alone=True),
    OWN_NUMBERS: Other("boosting.py", [{"trials": TRIALS, "columns": "numbers"}], alone=True),
}


def installed() -> bool:
    """Whether ``make yardsticks`` has made the environment."""
    return PYTHON.exists()


def scored(data: str, folder: Path, name: str, *, seed: int, made: Path) -> None:
    """Trains a model with the best of its settings, and writes its scores of the test split to ``made``.

    Each setting is tried with the first seed. What the same script tried before on the same arrays is not tried again.
    """
    other, arrays = OTHERS[name], place_of(Examples.of(data, folder, "embedding"), folder / FOLDER)
    tried = [_tried(other, arrays, name, setting=setting, seed=0) for setting in other.settings]
    best = int(np.argmax([float(np.load(out)["valid_auc"]) for out in tried]))
    found = _tried(other, arrays, name, setting=other.settings[best], seed=seed)
    made.unlink(missing_ok=True)
    made.symlink_to(found.resolve())


def _tried(other: Other, arrays: Path, name: str, *, setting: Mapping[str, Any], seed: int) -> Path:
    """The scores of one setting and seed."""
    scripts = [(SCRIPTS / script).read_text(encoding="utf-8") for script in ("arrays.py", other.script)]
    key = sha256(json.dumps([setting, scripts]).encode()).hexdigest()[:8]
    out = arrays / f"{name} {key} {seed}.npz"
    if not out.exists():
        with tempfile.TemporaryDirectory(dir=arrays) as folder:
            half = Path(folder) / "scores.npz"
            arguments = ["--arrays", str(arrays), "--model", name, "--seed", str(seed)]
            arguments += ["--setting", json.dumps(setting), "--out", str(half)]
            threads = {} if other.alone else {"OMP_NUM_THREADS": "1"}
            run_script(PYTHON, SCRIPTS / other.script, *arguments, environment=threads)
            half.rename(out)
    return out
