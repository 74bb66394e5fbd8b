"""Users with candidates, generated or of Complete Journey, with the ranker that scores them, for benchmarks.score."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray

from benchmarks._histories import DAY, ITEMS, draw_items, item_vectors, write_search_index
from jobs.train_ranker import MODELS, write_item_sums
from models.ranker.baseline import RANKER
from models.ranker.examples.columns import target_columns
from models.ranker.examples.context import Context
from models.ranker.examples.past import Past
from models.ranker.examples.targets import ExampleParameters, Targets
from models.ranker.network.ranker import Ranker
from models.ranker.network.saved import load_ranker, save_ranker
from models.ranker.network.shape import shape_of
from models.world import World
from schemas.features import COUNTED
from schemas.parameters import take
from schemas.settings import load_settings
from udfs.examples import load_search_index

NOW = 400 * DAY


@dataclass(frozen=True)
class Scored:
    """What is scored.

    Attributes:
        name: what the users are.
        events: events of a user, in words.
        rankers: folder of the ranker and its table of items.
        index: folder of the search index.
        parameters: search and lengths.
        users: a table of events and candidates for each user.
    """

    name: str
    events: str
    rankers: Path
    index: Path
    parameters: ExampleParameters
    users: list[pa.Table]

    @property
    def ranker(self) -> Ranker:
        """The ranker."""
        return load_ranker(self.rankers, RANKER)


def generated(folder: Path, candidates: int, events: int, users: int) -> Scored:
    """Generated users and items. The first call writes the search index and a ranker with random weights."""
    parameters = take(ExampleParameters, load_settings().examples, negatives=0, attribution_gap=0)
    drawn = [user_rows(number, candidates, events) for number in range(users)]
    found = Scored("generated", f"{events:,}", folder, folder, parameters, drawn)
    if not (folder / f"{RANKER}.json").exists():
        write_search_index(folder, item_vectors())
        _write_ranker(found)
        write_item_sums(folder, folder)
    return found


def _write_ranker(of: Scored) -> None:
    """A ranker of the default shape with random weights and the bins of the generated numbers; padding rows are 0."""
    torch.manual_seed(0)
    ranker = Ranker(shape_of(load_settings(), {"items": ITEMS + 2, "codes": [257] * 3}, MODELS[RANKER]))
    for name, weight in ranker.named_parameters():
        torch.nn.init.normal_(weight, std=0.1)
        if name.startswith(("item", "code", "of_event")):
            weight.data[0] = 0
    ranker.measure_numbers([_numbers(of, user) for user in of.users], World())
    save_ranker(ranker, of.rankers, RANKER)


def _numbers(of: Scored, rows: pa.Table) -> dict[str, torch.Tensor]:
    """The columns of one user's candidates."""
    index, is_event = load_search_index(of.index), rows["item_id"].is_null()
    past, asked = rows.filter(is_event), rows.filter(pa.compute.invert(is_event))
    events = Past.of(*(past[name].to_numpy() for name in ("item_row", "time", "labels")), index)
    n = asked.num_rows
    targets = Targets(
        asked["item_row"].to_numpy(), asked["time"].to_numpy(), np.zeros((n, 1), bool), np.zeros(n, np.uint64)
    )
    columns = target_columns(Context(targets, events, index, of.parameters))
    columns |= {name: asked[name].to_numpy() for name in COUNTED}
    return {name: torch.from_numpy(np.array(values)) for name, values in columns.items()}


def user_rows(number: int, candidates: int, events: int) -> pa.Table:
    """One user's events and candidates in the order of the job; all candidates have the same time."""
    draw = np.random.default_rng(number)
    items = np.unique(draw_items(draw, 4 * candidates))
    asked = np.sort(draw.permutation(items)[:candidates])
    taken, times = draw_items(draw, events), np.sort(draw.integers(0, NOW, events))
    return _rows(f"user-{number}", taken, times, asked)


def _rows(user: str, taken: NDArray[np.int64], times: NDArray[np.int64], asked: NDArray[np.int64]) -> pa.Table:
    draw = np.random.default_rng(len(taken))
    events, n = len(taken), len(taken) + len(asked)
    now = max(NOW, int(times.max(initial=0)) + 1)
    columns: dict[str, Any] = {
        "user_id": [user] * n,
        "part": np.zeros(n, np.int32),
        "item_id": [None] * events + [f"item-{item}" for item in asked],
        "item_row": np.concatenate([taken, asked]),
        "time": np.concatenate([times, np.full(len(asked), now)]),
        "labels": pa.array([1] * events + [None] * len(asked), pa.int64()),
    }
    counts = {
        name: pa.array([None] * events + draw.integers(0, 300, len(asked)).tolist(), pa.int32()) for name in COUNTED
    }
    return pa.table({**columns, **counts})


def complete_journey(warehouse: Path, folder: Path, candidates: int, users: int) -> Scored:
    """Users of a warehouse that ``make demo`` made, each with so many random items; counts of all users are random.

    Args:
        warehouse: the warehouse.
        folder: an empty folder, for the ranker with its table of items.
        candidates: candidates of a user.
        users: number of users.
    """
    rankers = _current(warehouse, "ranker")
    card = json.loads((rankers / "MANIFEST.json").read_text(encoding="utf-8"))["card"]
    index = rankers.parents[1] / "search_index" / card["recipe"]["search_index"]
    for file in rankers.glob(f"{RANKER}.*"):
        shutil.copy(file, folder)
    write_item_sums(index, folder)
    manifest = json.loads((index / "MANIFEST.json").read_text(encoding="utf-8"))["card"]
    parameters = ExampleParameters(**manifest["examples"], negatives=0, attribution_gap=0)
    log = deltalake.DeltaTable(str(warehouse / "interactions")).to_pandas(columns=["user_id", "item_id", "event_time"])
    rows = pd.read_parquet(index / "item_rows.parquet", columns=["item_id", "item_row"])
    log = log.merge(rows, on="item_id").sort_values(["user_id", "event_time", "item_row"])
    draw, made, lengths = np.random.default_rng(0), [], []
    for user in draw.permutation(log["user_id"].unique())[:users]:
        mine = log[log["user_id"] == user]
        times = mine["event_time"].astype("datetime64[us, UTC]").astype("int64").to_numpy()
        asked = np.sort(draw.permutation(len(rows))[:candidates])
        made.append(_rows(user, mine["item_row"].to_numpy(), times, asked))
        lengths.append(len(mine))
    return Scored("Complete Journey", f"{np.median(lengths):,.0f} (median)", folder, index, parameters, made)


def _current(warehouse: Path, kind: str) -> Path:
    folder = warehouse / "_artifacts" / kind
    return folder / (folder / "CURRENT").read_text(encoding="utf-8").strip()
