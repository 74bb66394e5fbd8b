"""Trains the GSU/ESU ranker and the baselines of the nightly on one version of the examples."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from jobs.examples.search_index import ITEM_IDS
from jobs.training.checkpoints import checkpoint_file, remove_checkpoints
from jobs.training.increment import settings_of
from jobs.training.material import Material, material_of, parameters_of
from jobs.training.processes import in_processes, refuse_processes_off_the_driver
from jobs.training.rankers import is_readable
from jobs.training.texts import Texts, texts_of
from lake.artifacts import Artifact
from lake.command import main
from lake.declaration import Job
from lake.local_copies import local_copies
from lake.run import Run
from lake.scratch import scratch_folder
from models.feed.file_systems import reads_in_place
from models.ranker.baseline import ITS_OWN, RANKER
from models.ranker.baselines import TRAINED
from models.ranker.network.saved import FORMAT, load_ranker, save_ranker
from models.ranker.network.shape import RankerShape, shape_of
from models.ranker.serving.scorer import Scorer
from models.ranker.training.process import RankerTask, beginning, train_alone, train_together
from models.ranker.training.warm_start import differences, matched_rows, take_over
from models.training_loop import TrainingRecord
from schemas.errors import user_mistakes
from schemas.recipe import recipe_of
from udfs.examples import load_search_index

log = logging.getLogger("qarm")

MODELS: dict[str, Mapping[str, Any]] = {
    RANKER: ITS_OWN,
    **{name: baseline.fixed() for name, baseline in TRAINED.items() if baseline.nightly},
}
"""The models that are trained, by name, each with the fields that it does not take from the settings."""


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


def warm_weights(
    run: Run, name: str, shape: RankerShape, index: Artifact, *, last: Artifact, texts: Texts | None, folder: Path
) -> bool:
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
    ranker = beginning(shape, None if texts is None else texts.arrays, None)
    same_codes = index.card.get("codebook") == last.card.get("codebook")
    same_tokens = texts is None or texts.line == last.card.get("texts")
    take_over(ranker, old, item_rows(run, index, last), same_codes, same_tokens=same_tokens)
    save_file(ranker.state_dict(), folder / f"{name}.safetensors")
    return True


def train_one(run: Run, name: str, material: Material, *, texts: Texts | None, out: Path) -> tuple[TrainingRecord, str]:
    """Trains one of :data:`MODELS` and writes it to a folder; without new examples, its last weights stand.

    Args:
        run: the run.
        name: name of the model.
        material: what it learns from.
        texts: the item texts; None if no ranker reads them.
        out: the folder.

    Returns:
        The curve of the training, and the run in which the weights were trained, with the version of the tokens.
    """
    settings, index, last = run.settings.ranker, material.index, material.last
    sizes = {name: index.card[name] for name in ("items", "codes")}
    shape = shape_of(run.settings, sizes if texts is None else {**sizes, "texts": texts.arrays.sizes}, MODELS[name])
    texts = texts if shape.texts else None
    increments = None if last is None else [last.version, run.settings.increments.model_dump(mode="json")]
    made_from = [run.lake.warehouse.root, run.inputs, asdict(shape), recipe_of(settings), increments]
    state = checkpoint_file(run, settings.checkpoint_folder, of=f"ranker-{name}", made_from=made_from)
    with scratch_folder() as begin:
        warm = last is not None and warm_weights(run, name, shape, index, last=last, texts=texts, folder=begin)
        start = begin / f"{name}.safetensors" if warm else None
        same_tokens = texts is None or (last is not None and texts.line == last.card.get("texts"))
        goes_on = warm and material.increment is not None and same_tokens
        trained_in = run.run_id
        if goes_on and last is not None and material.increment is not None and not material.increment.new:
            trained_in = last.card.get("trained_in", {}).get(name, "").partition(" ")[0]
            ranker = beginning(shape, None if texts is None else texts.arrays, start)
            ranker.fill_bank()  # new contents get their vectors without a training
            save_ranker(ranker, out, name)
            record = TrainingRecord()
        else:
            train, valid = material.feeds(run, shape.columns, goes_on)
            parameters = parameters_of(run.settings, goes_on)
            folder = None if texts is None else texts.folder
            task = RankerTask(name, shape, parameters, train, valid, start, state, out, goes_on, folder)
            process = train_alone if settings.processes == 1 else train_together
            with user_mistakes():
                record = TrainingRecord(**in_processes(process, task, settings.processes))
    run.measure("ranker.valid_auc", record.best, name)
    run.measure("ranker.best_step", record.best_step, name)
    run.measure("ranker.resumed_at", record.resumed_at, name)
    run.measure("ranker.warm_start", warm, name)
    run.measure("ranker.train_seconds", record.seconds, name)
    # Other tokens are other scores, although the weights stand.
    return record, trained_in if texts is None else f"{trained_in} {texts.version}"


def write_item_sums(search_index: Path, folder: Path) -> None:
    """Writes what the ranker computes from an item alone, for every item of the search index; ``score`` maps it.

    Driver memory: the ranker, and the sums of :data:`models.ranker.serving.items.BLOCK` items.

    Args:
        search_index: folder of the search index.
        folder: folder of the ranker.
    """
    index = load_search_index(search_index)
    scorer = Scorer(load_ranker(folder, RANKER), index.neighbours.shape[1])
    if scorer.items is not None:
        scorer.items.write(index, folder, RANKER)


def steps(run: Run) -> None:
    """Trains all models and publishes them as one artifact, with their training curves.

    Driver memory, for each of ``ranker.processes``: four times the model (weights, optimiser, best weights) and
    ``ranker.shuffle_rows`` examples. Batches are streamed from the files of the table. On a file system that Petastorm
    cannot read, the files of the train and validation examples are copied to the driver's disk first.
    """
    settings = run.settings.ranker
    refuse_processes_off_the_driver(run, "ranker", settings.processes)
    index = run.use("search_index", "build_examples")
    curves, trained_in = {}, {}
    with (
        scratch_folder() as folder,
        scratch_folder() as folder_of_texts,
        local_copies(run.lake.files, reads_in_place) as copies,
    ):
        material, rows, began = material_of(run, index, copies)
        texts = texts_of(run, index, folder_of_texts)
        for name in MODELS:
            with run.step(f"train {name}"):
                record, trained_in[name] = train_one(run, name, material, texts=texts, out=folder)
                curves[name] = asdict(record)
                run.curves[name] = record.points
        if settings.item_sums:
            with run.step("sum up items"):
                write_item_sums(run.lake.artifacts.fetch(index), folder)
        ids = run.lake.artifacts.fetch(index) / ITEM_IDS
        if ids.is_file():
            shutil.copy(ids, folder)
        recipe = {"examples": run.version("ranker_examples"), "search_index": index.version}
        known = {name: index.card.get(name) for name in ("items", "codes", "item_ids", "codebook")}
        known |= {"frame": index.card["frame"], "settings": settings_of(run), "began": asdict(began)}
        known |= {"trained_in": trained_in, "texts": None if texts is None else texts.line}
        run.publish("ranker", folder, recipe, models=list(MODELS), curves=curves, format=FORMAT, **known)
    run.measure("ranker.train_examples", rows)
    run.measure("ranker.new_examples", rows if material.increment is None else material.increment.new_rows)
    remove_checkpoints(run, settings.checkpoint_folder, of="ranker")


JOB = Job(
    name="train_ranker",
    steps=steps,
    sections=("ranker", "ranking"),
    reads=("ranker_examples",),
    uses=("search_index", "item_tokens"),
    consults=("items",),
    makes=("ranker",),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
