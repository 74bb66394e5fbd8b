"""Trains the retriever, a decoder that writes the semantic IDs that users take next, on the visits of the log."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from pyspark.sql import functions as F

from jobs.retriever.codes import catalogue_of, coded_items, levels_of, popularity_before
from jobs.retriever.feeds import feed_of
from jobs.retriever.moments import coded_events, moments
from jobs.training.checkpoints import checkpoint_file, remove_checkpoints
from jobs.training.processes import in_processes, refuse_processes_off_the_driver
from lake.artifacts import Artifact
from lake.command import main
from lake.declaration import Job
from lake.growth import grown_since
from lake.lake import Lake
from lake.ledger import RunRecord
from lake.local_copies import local_copies
from lake.periods import split_periods
from lake.run import Run
from lake.scratch import scratch_folder
from lake.staging import staged
from models.feed.feed import Feed
from models.feed.file_systems import reads_in_place
from models.retriever.catalogue import Catalogue
from models.retriever.network.shape import RetrieverShape
from models.retriever.saved import FORMAT
from models.retriever.training.process import RetrieverTask, train_alone, train_together
from models.retriever.training.training import RetrieverParameters, popular_hit_rates
from models.training_loop import TrainingRecord
from schemas.errors import UserError, user_mistakes
from schemas.parameters import take
from schemas.recipe import recipe_of
from schemas.settings import Settings
from schemas.tables import INTERACTIONS

log = logging.getLogger("qarm")


def shape_of(run: Run, codebook: Artifact) -> RetrieverShape:
    """The shape of the network, from the settings and the codebook."""
    settings = run.settings.retriever
    return take(
        RetrieverShape,
        settings,
        codes=levels_of(codebook),
        actions=len(run.settings.ranking.positive_actions),
        contrastive=settings.contrastive_weight > 0,
    )


def train(
    run: Run, shape: RetrieverShape, feeds: tuple[Feed, Feed], codebook: Artifact, *, folder: Path
) -> TrainingRecord:  # fmt: skip
    """Trains the network and writes it to the folder that holds the catalogue."""
    settings = run.settings.retriever
    made_from = [run.lake.warehouse.root, run.inputs, asdict(shape), recipe_of(settings)]
    task = RetrieverTask(
        shape=shape,
        parameters=take(RetrieverParameters, settings),
        train=feeds[0],
        valid=feeds[1],
        catalogue=folder,
        codebook=run.lake.artifacts.fetch(codebook) if settings.tokens == "codebook" else None,
        actions=run.settings.ranking.positive_actions,
        checkpoint=checkpoint_file(run, settings.checkpoint_folder, of="retriever", made_from=made_from),
        out=folder,
    )
    process = train_alone if settings.processes == 1 else train_together
    with user_mistakes():
        return TrainingRecord(**in_processes(process, task, settings.processes))


def measure(run: Run, record: TrainingRecord, catalogue: Catalogue, valid: Feed) -> None:
    """Measures the best validation, and popularity on the same moments."""
    best = next((point for point in record.points if point["step"] == record.best_step), {})
    for name, value in best.items():
        if name not in {"step", "loss"}:
            run.measure(f"retriever.{name}", value, "valid")
    popularity = torch.from_numpy(np.bincount(catalogue.item_code, weights=catalogue.popularity))
    for name, value in popular_hit_rates(popularity, valid.epoch(0)).items():
        run.measure(f"retriever.{name}", value, "valid")
    run.measure("retriever.best_step", record.best_step)
    run.measure("retriever.resumed_at", record.resumed_at)
    run.measure("retriever.train_seconds", record.seconds)


def steps(run: Run) -> None:
    """Writes the moments of the train and the validation period for Petastorm, trains, and publishes the retriever.

    A moment is the start of a visit, and its history holds only positives strictly before it. The periods are those of
    ``ranker_examples``. Driver memory: 200 bytes an item, four times the network, and ``shuffle_rows`` rows of
    ``recent_length + older_length + taken_length`` events of 16 bytes. Executor memory: the events of one user.
    """
    settings = run.settings.retriever
    refuse_processes_off_the_driver(run, "retriever", settings.processes)
    codebook = run.use("codebook", "fit_codebook")
    interactions = run.read(INTERACTIONS.name)
    periods = split_periods(interactions, run.settings.split)
    actions = run.settings.ranking.positive_actions
    positives = interactions.where(F.col("action").isin(actions) & (F.col("event_date") < F.lit(periods.test_from)))
    items, shape = coded_items(run, codebook), shape_of(run, codebook)
    events = coded_events(positives, items, actions)
    since, until = periods.rank_from or periods.first_day, periods.valid_from
    train_rows = moments(events, since, until, most=settings.moments, shape=shape.histories, settings=settings)
    valid_rows = moments(
        events, until, periods.test_from, most=settings.valid_moments, shape=shape.histories, settings=settings
    )
    with (
        scratch_folder() as folder,
        local_copies(run.lake.files, reads_in_place) as copies,
        staged(run, "train", train_rows) as train_files,
        staged(run, "valid", valid_rows) as valid_files,
    ):
        with run.step("gather the catalogue"):
            catalogue = catalogue_of(items, popularity_before(positives, periods, settings.popularity_days))
            catalogue.save(folder)
        rows = {"train": train_files.rows.count(), "valid": valid_files.rows.count()}
        for split, count in rows.items():
            run.measure("retriever.moments", count, split)
            if not count:
                raise UserError(f"no {split} moments: no user's visit in the {split} period has an earlier event")
        feeds = (
            feed_of(run, copies(train_files.files), shape, shuffle_rows=settings.shuffle_rows),
            feed_of(run, copies(valid_files.files), shape, shuffle_rows=0),
        )
        with run.step("train the retriever"):
            record = train(run, shape, feeds, codebook, folder=folder)
        measure(run, record, catalogue, feeds[1])
        run.curves["retriever"] = record.points
        recipe = {name: run.inputs[name] for name in ("interactions", "semantic_ids", "codebook")}
        recipe |= {"settings": run.settings.digest(run.job.sections)}
        run.publish("retriever", folder, recipe, format=FORMAT, curve=asdict(record), codebook=codebook.version)
    items.unpersist()
    remove_checkpoints(run, settings.checkpoint_folder, of="retriever")


def is_on(settings: Settings) -> bool:
    """Whether the nightly trains the retriever."""
    return settings.retriever.on


def stands(lake: Lake, last: RunRecord) -> str | None:
    """Why the retriever stands although the log or the codes changed; None if it is due.

    It writes codes of new items too, as long as they are of the codebook that it was trained with.
    """
    known, book = last.input_versions, lake.artifacts.latest("codebook")
    if book is None or known.get("codebook") != book.version:
        return None
    growth = grown_since(lake.warehouse, INTERACTIONS.name, known.get(INTERACTIONS.name, ""))
    trigger = lake.settings.increments.retriever
    return None if growth is None or growth.is_due(trigger) else growth.words(trigger)


JOB = Job(
    name="train_retriever",
    steps=steps,
    sections=("retriever", "ranking", "split"),
    reads=("interactions", "semantic_ids"),
    uses=("codebook",),
    makes=("retriever",),
    wanted=is_on,
    stands=stands,
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
