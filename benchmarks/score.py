"""Scoring many candidates of one user: with the user's side computed once, and as separate examples of the ranker.

    python -m benchmarks.score

Both ways start from a user's events and candidates as Arrow rows, as an executor receives them from Spark, and return
scores as Arrow rows. The ranker has the default shape and random weights; histories and items are generated. Times are
CPU times on one core, as in a Spark task. The two ways take turns, and the medians are reported.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from benchmarks._histories import DAY, ITEMS, draw_items, item_vectors, write_search_index
from benchmarks._table import write_table
from jobs.train_ranker import MODELS, shape_of
from models.ranker.examples.histories import histories_of
from models.ranker.examples.targets import ExampleParameters, Targets, UserEvents
from models.ranker.network.ranker import Ranker
from models.ranker.network.saved import save_ranker
from schemas.features import COUNTED
from schemas.parameters import take
from schemas.settings import load_settings
from udfs.examples import SplitPlan, load_search_index, to_arrow
from udfs.score_candidates import score_candidates
from udfs.scoring import score

COMMAND = "python -m benchmarks.score"
CASES = ((100, 300), (1_000, 300), (1_000, 3_000))
"""Pairs of a number of candidates and a number of events of a user."""
CANDIDATES = 20_000
ROUNDS = 5
NOW = 400 * DAY
MODEL, TASK = "qarm", "click"
BATCH = 2_048
"""Rows in a batch that ``evaluate`` scores with the default settings."""


def write_ranker(folder: Path) -> None:
    """Writes a ranker of the default shape with random weights; padding rows are 0."""
    torch.manual_seed(0)
    ranker = Ranker(shape_of(load_settings(), {"items": ITEMS + 2, "codes": [257] * 3}, MODELS[MODEL]))
    for name, weight in ranker.named_parameters():
        torch.nn.init.normal_(weight, std=0.1)
        if name.startswith(("item", "code", "of_event")):
            weight.data[0] = 0
    save_ranker(ranker, folder, MODEL)


def user_rows(number: int, candidates: int, events: int) -> pa.Table:
    """One user's events and candidates in the order of the job; all candidates have the same time."""
    draw = np.random.default_rng(number)
    items = np.unique(draw_items(draw, 4 * candidates))
    asked = np.sort(draw.permutation(items)[:candidates])
    n = events + len(asked)
    columns: dict[str, Any] = {
        "user_id": [f"user-{number}"] * n,
        "part": np.zeros(n, np.int32),
        "item_id": [None] * events + [f"item-{item}" for item in asked],
        "item_row": np.concatenate([draw_items(draw, events), asked]),
        "time": np.concatenate([np.sort(draw.integers(0, NOW, events)), np.full(len(asked), NOW)]),
        "labels": pa.array([1] * events + [None] * len(asked), pa.int64()),
    }
    counts = {
        name: pa.array([None] * events + draw.integers(0, 300, len(asked)).tolist(), pa.int32()) for name in COUNTED
    }
    return pa.table({**columns, **counts})


def as_examples(users: Sequence[pa.Table], folder: Path, parameters: ExampleParameters) -> pa.Table:
    """Builds an example for every candidate like ``build_examples``, and scores the examples like ``evaluate``."""
    index, plan = load_search_index(folder), SplitPlan(None, 2**60, 2**60, (1.0, 1.0, 1.0))
    made = []
    for rows in users:
        is_event = rows["item_id"].is_null()
        past, asked = rows.filter(is_event), rows.filter(pa.compute.invert(is_event))
        none = np.zeros(past.num_rows, bool), np.zeros(past.num_rows, np.uint64)
        events = UserEvents(past["item_row"].to_numpy(), past["time"].to_numpy(), ~none[0][:, None], *none)
        n = asked.num_rows
        targets = Targets(
            asked["item_row"].to_numpy(), asked["time"].to_numpy(), np.zeros((n, 1), bool), np.zeros(n, np.uint64)
        )
        histories = histories_of(events, targets, index, parameters)
        batch = to_arrow([(rows["user_id"][0].as_py(), targets, histories)], plan, tasks=[TASK])
        table = pa.Table.from_batches([batch])
        for name in COUNTED:
            table = table.append_column(name, asked[name])
        made.append(table)
    batches = pa.concat_tables(made).combine_chunks().to_batches(max_chunksize=BATCH)
    return pa.Table.from_batches(score(str(folder), [MODEL], ["user_id"])(batches))


def in_turns(sides: dict[str, Callable[[], pa.Table]], count: int) -> dict[str, float]:
    """Candidates per second of CPU time for each side, median over rounds in which the sides take turns."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, run in sides.items():
            start = time.thread_time()
            run()
            spent[name].append(time.thread_time() - start)
    return {name: count / float(np.median(seconds)) for name, seconds in spent.items()}


def measure(candidates: int, events: int, folder: Path) -> dict[str, float]:
    """Candidates per second of both ways, and the largest difference between their scores."""
    parameters = take(ExampleParameters, load_settings().examples, negatives=0, attribution_gap=0)
    users = [user_rows(number, candidates, events) for number in range(CANDIDATES // candidates)]
    run = score_candidates(str(folder), MODEL, str(folder), parameters)
    batches = [batch for user in users for batch in user.to_batches()]
    sides = {
        "once": lambda: pa.Table.from_batches(run(iter(batches))),
        "examples": lambda: as_examples(users, folder, parameters),
    }
    ours, theirs = sides["once"]()[f"score_{TASK}"], sides["examples"]()[f"{MODEL}_{TASK}"]
    difference = float(np.abs(ours.to_numpy() - theirs.to_numpy()).max())
    assert difference < 1e-5, difference
    return {**in_turns(sides, len(ours)), "difference": difference}


def main() -> None:
    """Measures every case and writes the table."""
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory(prefix="qarm-") as name:
        write_search_index(Path(name), item_vectors())
        write_ranker(Path(name))
        for candidates, events in CASES:
            found = measure(candidates, events, Path(name))
            speeds = [f"{found[side]:,.0f}" for side in ("once", "examples")]
            rows.append(
                [f"{candidates:,}", f"{events:,}", *speeds, f"{found['once'] / found['examples']:.2f}",
                 f"{found['difference']:.1e}"]
            )  # fmt: skip
    note = (
        f"Candidates per second of CPU time on one core, median of {ROUNDS} turns, over {CANDIDATES:,} candidates; all"
        " candidates of a user have the same time. The ranker has the default shape and random weights; items"
        f" ({ITEMS:,}) and histories are generated. Both ways include the features and the search of the history for"
        " every candidate. 'As examples': an example is built for every candidate, and `udfs/scoring.score` scores the"
        f" examples in batches of {BATCH:,}, as in `evaluate`. Spark's own work is not included."
    )
    header = ["candidates a user", "events", "user's side once", "as examples", "ratio", "largest difference of scores"]
    write_table("Scoring candidates", COMMAND, header, rows, note=note)


if __name__ == "__main__":
    main()
