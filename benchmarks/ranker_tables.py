"""Cost of a training step of the ranker by the size of its item table, with sparse and with dense gradients.

It also measures bfloat16 and torch.compile.

python -m benchmarks.ranker_tables
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks._memory import PeakMemory
from benchmarks._table import write_table
from benchmarks.feed import CODES, generated
from jobs.train_ranker import MODELS
from models.feed.feed import Feed
from models.feed.shuffling import Rows
from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import shape_of
from models.ranker.training.training import train_ranker
from models.training_loop import TrainingParameters
from schemas.features import PARTS
from schemas.settings import load_settings

SIZES = {
    "dense": (16_000, 40_000, 400_000, 4_000_000),
    "sparse": (16_000, 40_000, 400_000, 4_000_000),
    "dense, bfloat16": (16_000,),
    "dense, compiled": (16_000,),
}
STEPS = 20


def measure(kind: str, items: int) -> dict[str, float]:
    """CPU time of the median step and of the first step, and the peak memory of the process."""
    settings = load_settings()
    torch.set_num_threads(1)
    shape = shape_of(settings, {"items": items, "codes": [CODES] * 3}, MODELS["qarm"])
    with tempfile.TemporaryDirectory() as folder, PeakMemory(0.1) as memory:
        files = generated(settings, shape, STEPS * settings.ranker.batch_size, Path(folder), items=items)
        batch = settings.ranker.batch_size
        feed = Feed(files, shape.columns, batch_size=batch, shuffle_rows=10_000, seed=1, parts=PARTS)
        held = list(feed.epoch(0))
        ranker = Ranker(shape)
        ranker.item.sparse = "sparse" in kind
        moments: list[float] = []

        def clocked(_: int) -> Iterator[Rows]:
            for batch in held:
                moments.append(
                    time.thread_time()
                )  # counts only the training thread, not the thread that samples memory
                yield batch

        parameters = TrainingParameters(
            learning_rate=1e-3, weight_decay=1e-5, max_epochs=1, patience=1, validations_per_epoch=1,
            bfloat16="bfloat16" in kind, compile="compiled" in kind,
        )  # fmt: skip
        train_ranker(ranker, clocked, lambda: held[:1], STEPS, parameters=parameters, name=kind)
    first, *steps = (1000 * (after - before) for before, after in pairwise(moments))
    return {"first": first, "median": sorted(steps)[len(steps) // 2], "gigabytes": memory.gigabytes}


def main() -> None:
    """Measures each size in its own process, and writes the table."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
        return
    rows = []
    for kind, sizes in SIZES.items():
        for items in sizes:
            command = [sys.executable, "-m", "benchmarks.ranker_tables", kind, str(items)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found = json.loads(output.splitlines()[-1])
            times = [f"{found[name]:,.0f}" for name in ("median", "first")]
            rows.append([kind, f"{items:,}", *times, f"{found['gigabytes']:.2f}"])
    note = (
        f"The ranker with default settings on batches of {load_settings().ranker.batch_size} generated examples with 70"
        f" events each; ids are sampled log-uniformly. CPU time on one thread, median of {STEPS} steps. Memory of the"
        " whole process."
    )
    header = ["gradients of the item table", "rows", "ms a step", "ms the first step", "peak GiB"]
    write_table("Ranker's tables", "python -m benchmarks.ranker_tables", header, rows, note=note)


if __name__ == "__main__":
    main()
