"""Trains the GSU/ESU ranker, and beside it a DIN on recent history, on one version of the examples."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
from pyspark.sql import functions as F

from qarm.lake.command import main
from qarm.lake.job import Job, Run
from qarm.models.feed import Feed
from qarm.models.ranker.checkpoint import save_ranker
from qarm.models.ranker.ranker import Ranker, RankerShape
from qarm.models.ranker.training import TrainingParameters, TrainingRecord, train_ranker
from qarm.schemas.settings import Settings

log = logging.getLogger("qarm")

ALL = ("recent", "found")
MODELS: dict[str, dict[str, object]] = {
    "qarm": {"histories": ALL},
    "recent_din": {
        "histories": ALL[:1], "use_codes": False, "use_crosses": False, "use_histogram": False, "use_mix": False,
    },
}  # fmt: skip
"""The ranker and its baseline, by the name their metrics carry, and what they do not take from the settings."""


def feed_of(run: Run, split: str, columns: Sequence[str], shuffle_rows: int) -> Feed:
    """A feed over one split of the pinned examples."""
    version = int(run.version("ranker_examples"))
    files = run.lake.warehouse.files("ranker_examples", version, F.col("split") == split)
    settings = run.settings.ranker
    return Feed(files, columns, settings.batch_size, shuffle_rows, settings.seed)


def shape_of(settings: Settings, sizes: Mapping[str, object], fixed: Mapping[str, object]) -> RankerShape:
    """The shape of a ranker: of what is fixed, then of the settings of its fields' names.

    Args:
        settings: all.
        sizes: of the item and code tables.
        fixed: fields that the settings do not decide.
    """
    given = {"tasks": settings.ranking.task_names, "follows": settings.ranking.follows, **sizes, **fixed}
    own = {f.name: getattr(settings.ranker, f.name) for f in fields(RankerShape) if f.name not in given}
    return RankerShape(**given, **own)  # type: ignore[arg-type]


def train_one(run: Run, name: str, sizes: dict[str, object], rows: int) -> tuple[Ranker, TrainingRecord]:
    """Trains one of :data:`MODELS` from scratch.

    Args:
        run: the run.
        name: of the model.
        sizes: of the item and code tables.
        rows: of the train split.
    """
    settings = run.settings.ranker
    shape = shape_of(run.settings, sizes, MODELS[name])
    training = TrainingParameters(**{key: getattr(settings, key) for key in TrainingParameters.__annotations__})
    torch.manual_seed(settings.seed)
    ranker = Ranker(shape)
    train = feed_of(run, "train", shape.columns, settings.shuffle_rows)
    valid = feed_of(run, "valid", shape.columns, 0)
    steps_per_epoch = math.ceil(rows / settings.batch_size)
    record = train_ranker(ranker, train.epoch, lambda: valid.epoch(0), steps_per_epoch, training, name)
    return ranker, record


def steps(run: Run) -> None:
    """Trains every model and publishes them as one artifact, with their training curves.

    Driver memory: the models, their optimiser and ``ranker.shuffle_rows`` examples; batches stream from the table's
    files.
    """
    catalogue = run.use("catalogue", "build_examples")
    sizes = {name: catalogue.card[name] for name in ("items", "codes")}
    rows = run.read("ranker_examples").where("split = 'train'").count()
    curves = {}
    with tempfile.TemporaryDirectory(prefix="qarm-") as folder:
        for name in MODELS:
            with run.step(f"train {name} on {rows} examples"):
                ranker, record = train_one(run, name, sizes, rows)
            save_ranker(ranker, Path(folder), name)
            curves[name] = asdict(record)
            run.measure("ranker.valid_auc", record.best_auc, name)
            run.measure("ranker.best_step", record.best_step, name)
            run.measure("ranker.train_seconds", record.seconds, name)
        recipe = {"examples": run.version("ranker_examples"), "catalogue": catalogue.version}
        run.publish("ranker", Path(folder), recipe, models=list(MODELS), curves=curves)


JOB = Job("train_ranker", steps, sections=("ranker", "ranking"), reads=("ranker_examples",), uses=("catalogue",))

if __name__ == "__main__":
    raise SystemExit(main(JOB))
