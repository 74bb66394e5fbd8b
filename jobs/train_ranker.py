"""Trains the GSU/ESU ranker and the baselines of the nightly on one version of the examples."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from jobs.examples.frame import Frame
from jobs.examples.search_index import ITEM_IDS
from jobs.training.increment import Began, Increment, count_rows, files_of, increment, settings_of
from jobs.training.processes import checkpoint_folder, digest_of, in_processes, refuse_processes_off_the_driver
from jobs.training.rankers import is_readable
from lake.artifacts import Artifact
from lake.command import main
from lake.declaration import Job
from lake.run import Run
from models.feed.feed import Feed
from models.ranker.baseline import ITS_OWN, RANKER
from models.ranker.baselines import TRAINED
from models.ranker.network.ranker import Ranker
from models.ranker.network.saved import FORMAT, load_ranker, save_ranker
from models.ranker.network.shape import RankerShape
from models.ranker.training.process import RankerTask, train_alone, train_together
from models.ranker.training.training import TrainingParameters, TrainingRecord
from models.ranker.training.warm_start import differences, matched_rows, take_over
from schemas.errors import user_mistakes
from schemas.features import PARTS
from schemas.parameters import take
from schemas.recipe import recipe_of
from schemas.settings import Settings

log = logging.getLogger("qarm")

MODELS: dict[str, Mapping[str, Any]] = {
    RANKER: ITS_OWN,
    **{name: baseline.fixed() for name, baseline in TRAINED.items() if baseline.nightly},
}
"""The models that are trained, by name, each with the fields that it does not take from the settings."""


def feed_of(
    run: Run, files: Sequence[str], columns: Sequence[str], *, shuffle_rows: int, replayed: tuple[Sequence[str], int]
) -> Feed:
    """A feed over some files of the examples, in batches for one process.

    Args:
        run: the run.
        files: the files.
        columns: columns of the batches.
        shuffle_rows: rows in the shuffling buffer; 0 for no shuffling.
        replayed: further files, and how many of their rows each epoch reads again.
    """
    settings = run.settings.ranker
    batch_size = settings.batch_size // settings.processes
    given = {"files": files, "columns": columns, "parts": PARTS}
    again = dict(zip(("replayed", "replayed_rows"), replayed, strict=True))
    return take(Feed, settings, **given, **again, batch_size=batch_size, shuffle_rows=shuffle_rows)


def shape_of(settings: Settings, sizes: Mapping[str, object], fixed: Mapping[str, Any]) -> RankerShape:
    """The shape of a ranker. Fields that are not fixed are taken from the settings of the same names.

    Args:
        settings: all settings.
        sizes: sizes of the item table and of the code tables.
        fixed: fields that are not taken from the settings, see :data:`MODELS`.
    """
    use = [name for name in settings.ranker.use.on if name in fixed.get("use", settings.ranker.use.on)]
    given = {"tasks": settings.ranking.task_names, "follows": settings.ranking.follows, **sizes, **fixed, "use": use}
    return take(RankerShape, settings.ranker, **given)


def item_rows(run: Run, index: Artifact, last: Artifact) -> NDArray[np.int64] | None:
    """For every row of the new item table, the row of the same item in the last ranker's table; None if unknown.

    Driver memory: the item ids of both tables.

    Args:
        run: the run.
        index: the search index of the new ranker.
        last: the last rankers.
    """
    how = index.card.get("item_ids")
    if how is None or how != last.card.get("item_ids"):
        return None
    if how == "hashed":
        same = index.card["items"] == last.card["items"]
        return np.arange(index.card["items"]) if same else None
    new, old = (
        pq.read_table(run.lake.artifacts.fetch(artifact) / ITEM_IDS)["item_id"].combine_chunks()
        for artifact in (index, last)
    )
    return matched_rows(new, old)


def warm_weights(run: Run, name: str, shape: RankerShape, index: Artifact, *, last: Artifact, folder: Path) -> bool:
    """Writes the weights from which a ranker starts, taken from the last ranker.

    Returns:
        Whether the weights were written; they are if both rankers have the same shape except for sizes of tables.
    """
    if name not in last.card["models"] or not is_readable(last):
        log.warning(
            "train_ranker: %s holds no %s in the format of this qarm; training starts from random weights",
            last.version,
            name,
        )
        return False
    old = load_ranker(run.lake.artifacts.fetch(last), name)
    if differ := differences(shape, old.shape):
        log.warning(
            "train_ranker: %s of %s has another ranker.%s; training starts from random weights",
            name,
            last.version,
            differ[0],
        )
        return False
    torch.manual_seed(run.settings.ranker.seed)
    ranker = Ranker(shape)
    same_codes = index.card.get("codebook") == last.card.get("codebook")
    take_over(ranker, old, item_rows(run, index, last), same_codes)
    save_file(ranker.state_dict(), folder / f"{name}.safetensors")
    return True


@dataclass(frozen=True)
class Material:
    """What the models of a night learn from.

    Attributes:
        index: the search index of the examples.
        train, valid: files of the examples.
        last: the rankers whose weights the training starts from; None for random weights.
        increment: what is new since the rankers of the night before; None if the training begins anew.
    """

    index: Artifact
    train: Sequence[str]
    valid: Sequence[str]
    last: Artifact | None
    increment: Increment | None

    def feeds(self, run: Run, columns: Sequence[str]) -> tuple[Feed, Feed]:
        """The feeds of the train and the validation examples."""
        shuffle, nothing = run.settings.ranker.shuffle_rows, ((), 0)
        valid = feed_of(run, self.valid, columns, shuffle_rows=0, replayed=nothing)
        if self.increment is None:
            return feed_of(run, self.train, columns, shuffle_rows=shuffle, replayed=nothing), valid
        again = round(self.increment.new_rows * run.settings.increments.replay)
        replayed = (self.increment.old, again)
        return feed_of(run, self.increment.new, columns, shuffle_rows=shuffle, replayed=replayed), valid


def parameters_of(settings: Settings, goes_on: bool) -> TrainingParameters:
    """How a ranker is trained; one that goes on takes fewer and smaller steps."""
    given = take(TrainingParameters, settings.ranker)
    if not goes_on:
        return given
    rate = given.learning_rate * settings.increments.learning_rate_share
    return replace(given, max_epochs=settings.increments.epochs, learning_rate=rate)


def train_one(run: Run, name: str, material: Material, *, out: Path) -> TrainingRecord:
    """Trains one of :data:`MODELS` and writes it to a folder.

    Args:
        run: the run.
        name: name of the model.
        material: what it learns from.
        out: the folder.
    """
    settings, index, last = run.settings.ranker, material.index, material.last
    shape = shape_of(run.settings, {name: index.card[name] for name in ("items", "codes")}, MODELS[name])
    made_from = [run.lake.warehouse.root, run.inputs, asdict(shape), recipe_of(settings), last and last.version]
    state = checkpoint_folder(run, settings.checkpoint_folder) / f"ranker-{name}-{digest_of(made_from)}.pt"
    with tempfile.TemporaryDirectory(prefix="qarm-") as begin:
        warm = last is not None and warm_weights(run, name, shape, index, last=last, folder=Path(begin))
        start = Path(begin) / f"{name}.safetensors" if warm else None
        goes_on = warm and material.increment is not None
        if goes_on and material.increment is not None and not material.increment.new:
            ranker = Ranker(shape)
            ranker.load_state_dict(load_file(start))
            save_ranker(ranker, out, name)
            record = TrainingRecord()
        else:
            train, valid = material.feeds(run, shape.columns)
            parameters = parameters_of(run.settings, goes_on)
            task = RankerTask(name, shape, parameters, train, valid, start, state, out, goes_on)
            process = train_alone if settings.processes == 1 else train_together
            with user_mistakes():
                record = TrainingRecord(**in_processes(process, task, settings.processes))
    run.measure("ranker.valid_auc", record.best_auc, name)
    run.measure("ranker.best_step", record.best_step, name)
    run.measure("ranker.resumed_at", record.resumed_at, name)
    run.measure("ranker.warm_start", warm, name)
    run.measure("ranker.train_seconds", record.seconds, name)
    return record


def steps(run: Run) -> None:
    """Trains all models and publishes them as one artifact, with their training curves.

    Driver memory, for each of ``ranker.processes``: four times the model (weights, optimiser, best weights) and
    ``ranker.shuffle_rows`` examples. Batches are streamed from the files of the table.
    """
    settings = run.settings.ranker
    refuse_processes_off_the_driver(run, "ranker", settings.processes)
    index = run.use("search_index", "build_examples")
    material, rows, began = _material(run, index)
    curves = {}
    with tempfile.TemporaryDirectory(prefix="qarm-") as folder:
        for name in MODELS:
            with run.step(f"train {name}"):
                curves[name] = asdict(train_one(run, name, material, out=Path(folder)))
        ids = run.lake.artifacts.fetch(index) / ITEM_IDS
        if ids.is_file():
            shutil.copy(ids, folder)
        recipe = {"examples": run.version("ranker_examples"), "search_index": index.version}
        known = {name: index.card.get(name) for name in ("items", "codes", "item_ids", "codebook")}
        known |= {"frame": index.card["frame"], "settings": settings_of(run), "began": asdict(began)}
        run.publish("ranker", Path(folder), recipe, models=list(MODELS), curves=curves, format=FORMAT, **known)
    run.measure("ranker.train_examples", rows)
    run.measure("ranker.new_examples", rows if material.increment is None else material.increment.new_rows)
    for left in checkpoint_folder(run, settings.checkpoint_folder).glob("ranker-*.pt"):
        left.unlink()  # also checkpoints of settings that are no longer used


def _material(run: Run, index: Artifact) -> tuple[Material, int, Began]:
    """What to learn from, the number of train examples, and the training that began anew."""
    frame, version = Frame.from_card(index.card["frame"]), int(run.version("ranker_examples"))
    train, valid = (files_of(run, version, frame, split) for split in ("train", "valid"))
    rows = count_rows(run, train)
    later = increment(run, frame, train, rows)
    if later is not None:
        return Material(index, train, valid, later.last, later), rows, later.began
    last = run.latest("ranker") if run.settings.ranker.warm_start else None
    return Material(index, train, valid, last, None), rows, Began(rows, frame.periods.valid_from.isoformat())


JOB = Job(
    name="train_ranker",
    steps=steps,
    sections=("ranker", "ranking"),
    reads=("ranker_examples",),
    uses=("search_index",),
    makes=("ranker",),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
