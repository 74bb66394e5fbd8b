"""Trains the deep rankers of the benchmark with the same code: QARM V2, its ablations, and the trained baselines."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks._ranker_data import settings_of
from jobs.examples.frame import Frame
from models.feed.feed import Feed
from models.ranker.baseline import ITS_OWN
from models.ranker.baselines import TRAINED
from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape, shape_of
from models.ranker.training.training import train_ranker
from models.training_loop import TrainingParameters
from schemas.features import PARTS, SWITCHES
from schemas.settings import Settings, load_settings

MODELS: dict[str, tuple[str, Mapping[str, object]]] = {
    "QARM V2": ("embedding", ITS_OWN),
    **{baseline.title: (baseline.examples, baseline.fixed()) for baseline in TRAINED.values()},
}
"""For each model, the kind of search of its examples, and the fields of its shape that are not from the settings."""


def without(*switches: str) -> tuple[str, Mapping[str, object]]:
    """QARM V2 with some switches turned off."""
    return "embedding", {**ITS_OWN, "use": [s.name for s in SWITCHES if s.name not in switches]}


ABLATIONS: dict[str, tuple[str, Mapping[str, object]]] = {
    "without the search (recent only)": ("embedding", {"histories": ("recent",)}),
    "without semantic IDs": without("codes"),
    "prefix tables": ("embedding", {**ITS_OWN, "code_tables": "prefixes"}),
    "without crosses": without("crosses"),
    "without neighbours": without("neighbours"),
    "without the histogram": without("histogram"),
    "without behaviour": without("behaviour"),
    "without taste": without("taste"),
    "without behaviour and taste": without("behaviour", "taste"),
    "without distinct items": without("distinct_items"),
    "without pairs": without("pairs"),
    "without the mix": without("mix"),
    "without counts": without("counts"),
    "search and ids alone": ("embedding", {**ITS_OWN, "use": ("counts",)}),
}
BATCH = load_settings().ranker.batch_size
EPOCHS = {"complete_journey": 1, "ml_100k": 10}
"""Largest number of epochs; the best is selected by the validation AUC. On Complete Journey a second epoch did not
raise the validation AUC of QARM V2."""
DESCRIPTION = ["example_id", "user_id", "item_id", "history_length", "taken"]


@dataclass(frozen=True)
class Examples:
    """The examples in one warehouse.

    Attributes:
        warehouse: folder of the warehouse.
        settings: settings that the examples were built with.
    """

    warehouse: Path
    settings: Settings

    @classmethod
    def of(cls, data: str, folder: Path, search: str) -> Examples:
        """The examples that :func:`benchmarks._ranker_data.prepare` built."""
        config = ["conf/demo.toml"] if data == "complete_journey" else []
        return cls(folder / search, load_settings(config, settings_of(data, search)))

    @property
    def task(self) -> str:
        """Name of the only task."""
        return self.settings.ranking.task_names[0]

    def paths(self, split: str) -> list[Path]:
        """Files of a split, in a fixed order."""
        table = deltalake.DeltaTable(str(self.warehouse / "ranker_examples"))
        blocks = [day.isoformat() for day in Frame.from_card(self.card["frame"]).blocks_of(split)]
        return [Path(uri).absolute() for uri in sorted(table.file_uris([("days_from", "in", blocks)]))]

    @cached_property
    def card(self) -> dict[str, Any]:
        """The description of the search index."""
        indexes = self.warehouse / "_artifacts" / "search_index"
        current = (indexes / "CURRENT").read_text().strip()
        return dict(json.loads((indexes / current / "MANIFEST.json").read_text())["card"])

    def feed(self, split: str, shape: RankerShape, *, batch: int, shuffle_rows: int, seed: int) -> Feed:
        """A feed of a split."""
        files = [path.as_uri() for path in self.paths(split)]
        return Feed(files, shape.columns, batch_size=batch, shuffle_rows=shuffle_rows, seed=seed, parts=PARTS)

    def described(self, split: str, *more: str) -> dict[str, np.ndarray]:
        """Ids and labels of a split, and more columns, in the order of a feed without shuffling."""
        columns = [*DESCRIPTION, f"label_{self.task}", *more]
        paths = self.paths(split)
        tables = [pq.read_table(path, columns=columns, partitioning=None).to_pandas() for path in paths]
        whole = {name: np.concatenate([table[name].to_numpy() for table in tables]) for name in columns}
        return {**whole, "label": whole.pop(f"label_{self.task}")}

    def shape(self, fixed: Mapping[str, object]) -> RankerShape:
        """Shape of a ranker for these examples."""
        return shape_of(self.settings, {name: self.card[name] for name in ("items", "codes")}, fixed)


def trained(data: str, folder: Path, name: str, *, seed: int, splits: Sequence[str]) -> dict[str, Any]:
    """Trains one model from Petastorm and scores splits.

    Returns:
        ``seconds``, ``examples_per_second``, ``valid_auc``, and ``<split>_ids`` and ``<split>_scores`` of every split.
    """
    search, fixed = (MODELS | ABLATIONS)[name]
    examples = Examples.of(data, folder, search)
    shape, ranker_settings = examples.shape(fixed), examples.settings.ranker
    train = examples.feed("train", shape, batch=BATCH, shuffle_rows=ranker_settings.shuffle_rows, seed=seed)
    valid = examples.feed("valid", shape, batch=4 * BATCH, shuffle_rows=0, seed=seed)
    parameters = TrainingParameters(
        learning_rate=ranker_settings.learning_rate, weight_decay=ranker_settings.weight_decay,
        max_epochs=EPOCHS[data], patience=2, validations_per_epoch=2, seed=seed,
    )  # fmt: skip
    torch.manual_seed(seed)
    ranker = Ranker(shape)
    record = train_ranker(
        ranker, train.epoch, lambda: valid.epoch(0), train.steps, parameters=parameters, name=f"{name} {seed}"
    )
    seen = record.points[-1]["step"] * BATCH
    found: dict[str, Any] = {
        "seconds": record.seconds, "examples_per_second": seen / record.seconds, "valid_auc": record.best,
        "points": record.points,
    }  # fmt: skip
    started = time.monotonic()
    for split in splits:
        found[f"{split}_ids"] = examples.described(split)["example_id"].astype(str)
        found[f"{split}_scores"] = scores_of(
            ranker, examples.feed(split, shape, batch=4 * BATCH, shuffle_rows=0, seed=seed)
        )
    return found | {"scoring_seconds": time.monotonic() - started}


def scores_of(ranker: Ranker, feed: Feed) -> np.ndarray:
    """Probabilities of the first task in the order of the feed, shape (n,)."""
    ranker.eval()
    with torch.inference_mode():
        return np.concatenate([ranker.probabilities(batch)[:, 0].numpy() for batch in feed.epoch(0)])
