"""The feed: speed of the ranker's training from Petastorm and from tensors in memory, and memory over five epochs.

    python -m benchmarks.feed [--warehouse WAREHOUSE] [--rows 200000] [--config conf/demo.toml]

With a local warehouse, it reads the first files of its train examples, up to the number of rows; without one, generated
examples with the same columns and lengths.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from petastorm import make_batch_reader
from petastorm.pytorch import BatchedDataLoader

from benchmarks._memory import PeakMemory
from benchmarks._table import write_table
from jobs.examples.frame import Frame
from jobs.train_ranker import MODELS
from models.feed.feed import Feed
from models.feed.shuffling import Rows
from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape, shape_of
from models.ranker.training.training import train_ranker
from models.training_loop import TrainingParameters
from schemas.feature import BUCKETS, Reads
from schemas.features import FEATURES, PARTS
from schemas.names import SID_COLUMNS
from schemas.parameters import take
from schemas.settings import Settings, load_settings
from udfs.arrays import feature_column

EPOCHS = 5
PAIRS = 5
FILES = 4
ITEMS, CODES = 40_000, 257
BELOW = {"history_length": 900, "taken": 4, "action": 3}
"""Upper bounds of some generated columns; other counts are below 300, buckets below 16."""


def generated(settings: Settings, shape: RankerShape, rows: int, folder: Path, *, items: int = ITEMS) -> list[str]:
    """Writes generated examples with the ranker's columns; ids are sampled log-uniformly."""
    e = settings.examples
    lengths = {"recent": e.recent_length, "found": e.found_length}
    features = {feature.name: feature for feature in FEATURES}
    urls = []
    for part in range(FILES):
        draw = np.random.default_rng(part)
        columns: dict[str, pa.Array] = {}
        for name in shape.columns:
            history, _, field = name.partition("_")
            feature, width = features.get(name), lengths.get(history)
            if feature is not None:
                width = len(feature.parts) or (1 + e.neighbours if feature.width == 0 else feature.width)
            size = (rows // FILES, *([width] if width else []))
            ids = feature.reads is Reads.ID if feature else field in ("item", *SID_COLUMNS)
            if name.startswith("label_"):
                values: Any = draw.integers(0, 2, size).astype(np.float32)
            elif name == "found_score" or (feature and feature.type == "FLOAT"):
                values = draw.random(size, dtype=np.float32)
            elif ids:
                high = CODES if name.endswith(SID_COLUMNS) else items
                values = np.exp(draw.random(size) * np.log(high)).astype(np.int32)
            else:
                high = BELOW.get(name if feature else field, BUCKETS)
                if feature:
                    high = feature.values or (300 if feature.reads is Reads.LOG1P and name not in BELOW else high)
                values = draw.integers(int(field == "gap"), high, size, dtype=np.int32)
            columns[name] = feature_column(values, PARTS.get(name, ()))
        path = folder / f"part-{part}.parquet"
        pq.write_table(pa.table(columns), path)
        urls.append(path.as_uri())
    return urls


def examples(settings: Settings, warehouse: str, rows: int, folder: Path) -> tuple[list[str], RankerShape]:
    """Files with at least ``rows`` train examples, and the shape of a ranker for them."""
    sizes: dict[str, object] = {"items": ITEMS, "codes": [CODES] * 3}
    if not warehouse:
        shape = shape_of(settings, sizes, MODELS["qarm"])
        return generated(settings, shape, rows, folder), shape
    (card,) = sorted(Path(warehouse, "_artifacts", "search_index").glob("*/MANIFEST.json"))[-1:]
    described = json.loads(card.read_text())["card"]
    sizes = {name: described[name] for name in sizes}
    table = deltalake.DeltaTable(f"{warehouse}/ranker_examples")
    train = [day.isoformat() for day in Frame.from_card(described["frame"]).blocks_of("train")]
    files = sorted(table.file_uris([("days_from", "in", train)]))
    urls = [f"file://{Path(name).absolute()}" for name in files]  # Petastorm's own loader does not support escaped URLs
    shape = shape_of(settings, sizes, MODELS["qarm"])
    taken = next(
        (
            n
            for n in range(1, len(urls) + 1)
            if Feed(urls[:n], ["hour"], batch_size=1, shuffle_rows=0, seed=0).rows >= rows
        ),
        len(urls),
    )
    return urls[:taken], shape


def trained(
    shape: RankerShape, batches: Any, steps: int, settings: Settings, *, epochs: int = 1
) -> tuple[float, float]:
    """Seconds, and CPU seconds over all threads, of a training that validates on a single batch."""
    s = settings.ranker
    parameters = TrainingParameters(
        learning_rate=s.learning_rate, weight_decay=s.weight_decay, max_epochs=epochs, patience=EPOCHS,
        validations_per_epoch=1,
    )  # fmt: skip
    torch.manual_seed(s.seed)
    ranker = Ranker(shape)
    first = next(iter(batches(0)))
    cpu = time.process_time()
    seconds = train_ranker(ranker, batches, lambda: [first], steps, parameters=parameters, name="qarm").seconds
    return seconds, time.process_time() - cpu


def measure_speed(feed: Feed, shape: RankerShape, settings: Settings) -> dict[str, Any]:
    """Times training from Petastorm and from the same batches in memory, in turns."""
    held = list(feed.epoch(0))
    found: dict[str, Any] = {"rows": feed.rows, "memory": [], "petastorm": []}
    trained(shape, lambda _: held[:5], 5, settings)
    for pair in range(PAIRS):
        found["memory"].append(trained(shape, lambda _: held, feed.steps, settings))
        fed = trained(shape, lambda number, pair=pair: feed.epoch(number + pair), feed.steps, settings)
        found["petastorm"].append(fed)
    return found


def measure_memory(feed: Feed, shape: RankerShape, settings: Settings) -> dict[str, Any]:
    """Measures the peak memory of every epoch of one training from Petastorm."""
    peaks: list[float] = []

    def watched(number: int) -> Iterator[Rows]:
        with PeakMemory(0.2) as memory:
            yield from feed.epoch(number)
        peaks.append(memory.gigabytes)

    trained(shape, watched, feed.steps, settings, epochs=EPOCHS)
    return {"gigabytes": peaks[-EPOCHS:]}


def measure_reading(feed: Feed, shape: RankerShape, settings: Settings) -> dict[str, Any]:
    """Rows per second without training, of the feed and of Petastorm's own loader over the same files."""

    def speed(batches: Any) -> float:
        started = time.monotonic()
        return sum(len(batch["hour"]) for batch in batches) / (time.monotonic() - started)

    ours = speed(feed.epoch(0))
    flat = [name for name in feed.columns if name not in PARTS]  # Petastorm's loader does not support STRUCT columns
    reader = make_batch_reader(list(feed.files), schema_fields=flat, num_epochs=1, workers_count=1)
    with reader, PeakMemory(0.2) as memory:
        loaders = speed(BatchedDataLoader(reader, feed.batch_size, shuffling_queue_capacity=feed.shuffle_rows))
    return {"feed": ours, "loader": loaders, "loader_gigabytes": memory.gigabytes}


MEASUREMENTS = {"speed": measure_speed, "memory": measure_memory, "reading": measure_reading}


def write(found: dict[str, dict[str, Any]], command: str, source: str) -> None:
    """Writes the table."""
    speed, memory, reading = found["speed"], found["memory"], found["reading"]
    held, fed = (np.array(speed[name]) for name in ("memory", "petastorm"))  # seconds and CPU seconds of each epoch
    ratios, cpu_ratios = (held / fed).T

    def cells(seconds: Any) -> list[str]:
        each, cpu = np.median(seconds, axis=0) / speed["rows"]
        return [f"{1 / each:,.0f}", f"{cpu * 1e6:.0f}"]

    peaks = ", ".join(f"{gigabytes:.2f}" for gigabytes in memory["gigabytes"])
    rows = [
        ["training from tensors in memory", *cells(held), ""],
        ["training from Petastorm", *cells(fed), peaks],
        ["reading alone: the feed", f"{reading['feed']:,.0f}", "", ""],
        ["reading alone: Petastorm's BatchedDataLoader", f"{reading['loader']:,.0f}", "",
         f"{reading['loader_gigabytes']:.2f}"],
    ]  # fmt: skip
    note = (
        f"{speed['rows']:,} train examples {source}. The speed of training from Petastorm is {np.median(ratios):.2f} of"
        f" the speed on the same batches in memory (median of {PAIRS} epochs each, in turns:"
        f" {', '.join(f'{ratio:.2f}' for ratio in ratios)}). By CPU time over all threads, which other work on the"
        f" machine influences less, it is {np.median(cpu_ratios):.2f}. Peak memory is the proportional set size of the"
        f" process in each of {EPOCHS} epochs of one training."
    )
    write_table(
        "Feed", command, ["", "examples a second", "CPU µs an example", "peak GiB, epoch by epoch"], rows, note=note
    )


def main() -> None:
    """Runs each part in its own process, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", default="")
    parser.add_argument("--config", default="")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--part", choices=MEASUREMENTS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    settings = load_settings([chosen.config] if chosen.config else [])
    if chosen.part:
        task = json.loads(Path(chosen.folder, "task.json").read_text())
        shape = RankerShape(**task["shape"])
        s = settings.ranker
        feed = take(Feed, s, files=task["files"], columns=shape.columns, parts=PARTS)
        print(json.dumps(MEASUREMENTS[chosen.part](feed, shape, settings)))
        return
    with tempfile.TemporaryDirectory() as folder:
        files, shape = examples(settings, chosen.warehouse, chosen.rows, Path(folder))
        Path(folder, "task.json").write_text(json.dumps({"files": files, "shape": vars(replace(shape))}))
        found = {}
        for part in MEASUREMENTS:
            command = [sys.executable, "-m", "benchmarks.feed", *sys.argv[1:], "--part", part, "--folder", folder]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found[part] = json.loads(output.splitlines()[-1])
            print(part, found[part], file=sys.stderr)
    source = f"of {chosen.warehouse}" if chosen.warehouse else "generated"
    write(found, " ".join(["python -m benchmarks.feed", *sys.argv[1:]]), source)


if __name__ == "__main__":
    main()
