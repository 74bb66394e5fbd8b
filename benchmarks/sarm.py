"""Item texts that learn with the ranker (SARM): a ladder from no text to the whole, with permuted texts as control.

    python -m benchmarks.sarm [--data NAME] [--folder FOLDER] [--households N] [--seeds N] [--rungs NAME ...]

Data sets: Complete Journey, and MovieLens 100k from the ``recbole`` package. All rungs read the same examples, in
memory, and have the same hyperparameters; the weights are those of the best validation AUC. Each training runs in its
own process; those with results in the folder are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks import _ranker_data as data_sets
from benchmarks._ranker_models import BATCH, EPOCHS, Examples, scores_of
from benchmarks._ranker_results import COLD, interval
from benchmarks._sarm_rungs import NO_TEXT, RUNGS, Warehouse
from benchmarks._table import write_table
from models.ranker.baseline import ITS_OWN
from models.ranker.network.ranker import Batch
from models.ranker.network.shape import shape_of
from models.ranker.training.metrics import auc
from models.ranker.training.process import beginning
from models.ranker.training.training import train_ranker
from models.training_loop import TrainingParameters
from schemas.features import SWITCHES

DATA = {"complete_journey": "Complete Journey", "ml_100k": "MovieLens 100k"}
COMMAND = "python -m benchmarks.sarm"
SEARCH = "embedding"


def prepare(data: str, folder: Path, households: int) -> None:
    """Runs the nightly jobs up to the tokens of anchors."""
    if data == "complete_journey":
        command = [sys.executable, "demo/complete_journey.py", "--config", "conf/demo.toml"]
        command += ["--set", f"demo.households={households}", "--out", str(folder / "input")]
        subprocess.run(command, check=True, cwd=data_sets.ROOT, stdout=sys.stderr)
    else:
        data_sets.ml_100k(folder)
    files = [part for name in ("interactions", "items") for part in (f"--{name}", f"{folder}/input/{name}.parquet")]
    config = ["--config", "conf/demo.toml"] if data == "complete_journey" else []
    settings = [*data_sets.settings_of(data, SEARCH), "ranker.use.text=true"]
    command = ["./spark-submit.sh", "nightly", "--until", "tokenize_anchors", "--warehouse", str(folder / SEARCH)]
    options = [part for one in settings for part in ("--set", one)]
    subprocess.run([*command, *config, *options, *files], check=True, cwd=data_sets.ROOT, stdout=sys.stderr)


class InMemory:
    """The batches of a feed, kept in memory; an epoch has an order of its own.

    Args:
        batches: the batches.
        seed: seed of the order.
    """

    def __init__(self, batches: Iterator[Batch], seed: int) -> None:
        held = list(batches)
        self.rows = {name: torch.cat([batch[name] for batch in held]) for name in held[0]}
        self.seed = seed

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return -(-len(next(iter(self.rows.values()))) // BATCH)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch."""
        count = len(next(iter(self.rows.values())))
        order = torch.from_numpy(np.random.default_rng([self.seed, number]).permutation(count))
        for start in range(0, count, BATCH):
            rows = order[start : start + BATCH]
            yield {name: values[rows] for name, values in self.rows.items()}


def train(data: str, folder: Path, rung: str, seed: int) -> dict[str, object]:
    """Trains one rung and scores the test split.

    Returns:
        ``valid_auc``, ``points``, ``seconds_per_step`` of the processor, and ``scores`` of the test split.
    """
    torch.set_num_threads(1)
    examples, of = Examples.of(data, folder, SEARCH), RUNGS[rung]
    on = [switch.name for switch in SWITCHES if switch.name not in (*of.without, "text" if of.shape is None else "")]
    settings = examples.settings.model_copy(deep=True)
    use = settings.ranker.use.model_copy(update={"text": of.shape is not None})
    ranker_settings = settings.ranker.model_copy(update={"use": use})
    settings = settings.model_copy(update={"ranker": ranker_settings})
    texts = None if of.shape is None else of.texts(Warehouse(examples))
    sizes = {name: examples.card[name] for name in ("items", "codes")} | {"texts": texts.sizes if texts else ()}
    shape = shape_of(settings, sizes, {**ITS_OWN, "use": on})
    shape = shape if of.shape is None else replace(shape, text=of.shape)
    feeds = {
        split: InMemory(examples.feed(split, shape, batch=4 * BATCH, shuffle_rows=0, seed=seed).epoch(0), seed)
        for split in ("train", "valid")
    }
    torch.manual_seed(seed)
    ranker = beginning(shape, texts, None)
    if ranker.text is not None and not of.learns:
        ranker.text.encoder.base.weight.requires_grad_(False)
    parameters = TrainingParameters(
        learning_rate=ranker_settings.learning_rate, weight_decay=ranker_settings.weight_decay,
        max_epochs=EPOCHS[data], patience=2, validations_per_epoch=2, seed=seed,
    )  # fmt: skip
    started = time.process_time()
    record = train_ranker(
        ranker, feeds["train"].epoch, lambda: feeds["valid"].epoch(0), feeds["train"].steps, parameters=parameters,
        name=f"{rung} {seed}",
    )  # fmt: skip
    seconds = (time.process_time() - started) / record.points[-1]["step"]
    scores = scores_of(ranker, examples.feed("test", shape, batch=4 * BATCH, shuffle_rows=0, seed=seed))
    return {
        "valid_auc": record.best, "points": json.dumps(record.points), "seconds_per_step": seconds,
        "scores": scores,
    }  # fmt: skip


def once(data: str, folder: Path, rung: str, seed: int) -> None:
    """Trains a rung in a process of its own, unless its results are there."""
    if (file := _file(folder, rung, seed)).exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.sarm", "--data", data, "--folder", str(folder)]
    command += ["--train", rung, "--seed", str(seed)]
    subprocess.run(command, check=True, cwd=data_sets.ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})


def _file(folder: Path, rung: str, seed: int) -> Path:
    return folder / "sarm" / f"{rung} {seed}.npz"


def write(data: str, folder: Path) -> None:
    """Writes the ladder from the results that the folder holds."""
    examples = Examples.of(data, folder, SEARCH)
    test, positives = examples.described("test"), examples.settings.ranking.positive_actions
    log = Warehouse(examples).table("interactions", ["item_id", "event_time", "action"])
    first = pd.Timestamp(examples.card["frame"]["periods"]["valid_from"], tz="UTC")
    early = log["action"].isin(positives) & (pd.to_datetime(log["event_time"], utc=True) < first)
    events = pd.Series(test["item_id"]).map(log.loc[early, "item_id"].value_counts()).fillna(0).to_numpy()
    parts = {"all": events >= 0, "cold items": events < COLD, "new items": events == 0}
    found = {
        rung: [dict(np.load(path)) for path in sorted((folder / "sarm").glob(f"{rung} [0-9]*.npz"))] for rung in RUNGS
    }
    found = {rung: runs for rung, runs in found.items() if runs}
    base, rows = found[NO_TEXT], []
    for rung, runs in found.items():
        cells = [rung, str(len(runs)), f"{np.mean([run['valid_auc'] for run in runs]):.4f}"]
        for mask in parts.values():
            means = [
                np.mean([auc(test["label"][mask], run["scores"][mask]) for run in side]) for side in (runs, base)
            ]  # fmt: skip
            cell = f"{means[0]:.4f}"
            if rung != NO_TEXT:
                low, high = interval(test, mask, *([run["scores"] for run in side] for side in (runs, base)))
                cell += f" ({100 * (means[0] - means[1]):+.2f}: {low:+.2f} to {high:+.2f})"
            cells.append(cell)
        ratio = np.mean([run["seconds_per_step"] for run in runs]) / np.mean([run["seconds_per_step"] for run in base])
        rows.append([*cells, f"{ratio:.2f}"])
    note = (
        f"{DATA[data]}; {len(test['label']):,} test examples of {len(np.unique(test['user_id'])):,} users. AUC of the"
        f" test split, mean over seeds; in brackets the difference from the ranker without text, in points, with its"
        f" 95 % bootstrap interval over users. Cold items: fewer than {COLD} positives in the train period; new items:"
        " none. Permuted: texts exchanged among items of like popularity. Training time: seconds of the processor a"
        " step, validation included, over those of the ranker without text. The weights were chosen on the validation"
        " split."
    )
    header = ["ranker", "seeds", "validation AUC", *(f"{name} ({int(m.sum()):,})" for name, m in parts.items())]
    write_table(f"Item texts in the ranker, {DATA[data]}", COMMAND, [*header, "training time"], rows, note=note)


def main() -> None:
    """Trains every rung and writes the tables, or trains one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", choices=DATA, help="only this data set")
    parser.add_argument("--folder", type=Path, help="where warehouses and scores are kept; with --data")
    parser.add_argument("--households", type=int, default=0, help="households of Complete Journey; 0 = all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rungs", nargs="+", choices=RUNGS, default=list(RUNGS), metavar="RUNG")
    parser.add_argument("--write", action="store_true", help="only the tables, of what --folder holds")
    parser.add_argument("--train", choices=RUNGS, help="only this rung, in this process")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.train:
        found = train(options.data, options.folder, options.train, options.seed)
        np.savez(_file(options.folder, options.train, options.seed), **{k: np.asarray(v) for k, v in found.items()})
        print(options.train, options.seed, found["valid_auc"], found["seconds_per_step"], file=sys.stderr)
        return
    for data in [options.data] if options.data else DATA:
        folder = options.folder or data_sets.scratch()
        if not options.write:
            prepare(data, folder, options.households)
            for seed in range(options.seeds):
                for rung in options.rungs:
                    once(data, folder, rung, seed)
        write(data, folder)


if __name__ == "__main__":
    main()
