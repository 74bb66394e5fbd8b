"""One process of an alignment training: it reads its share of the feed, trains, and writes the encoder to a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from models.device import own_device
from models.feed.feed import Feed
from models.llm.alignment import align
from models.llm.alignment_batch import COLUMNS
from models.llm.item_encoder import ItemEncoder
from models.processes import as_one_of_many, write_record
from models.training_state import Checkpoints
from models.world import World
from schemas.language_model_sections import AlignSettings


@dataclass(frozen=True, kw_only=True)
class AlignmentTask:
    """Inputs of an alignment training, the same for every process.

    Attributes:
        files: Parquet files of the feed; their rows are in training order.
        settings: the ``[align]`` section; a batch is divided among all processes.
        model: folder of the converted language model.
        checkpoint: path of the checkpoint file.
        out: folder that the aligned encoder is written to.
    """

    files: Sequence[str]
    settings: AlignSettings
    model: Path
    checkpoint: Path
    out: Path


def align_alone(task: AlignmentTask) -> None:
    """Trains in this process alone, and writes the encoder and the training record to ``task.out``."""
    _align(task, World())


def align_together(task: AlignmentTask) -> None:
    """Trains as one of the processes that torchrun started; rank 0 writes the encoder and the training record."""
    as_one_of_many(partial(_align, task), task.out)


def _align(task: AlignmentTask, world: World) -> None:
    settings = task.settings
    torch.manual_seed(settings.seed)
    encoder = ItemEncoder(task.model, "float32", settings.layers, settings.lora_rank)
    encoder.to(own_device())
    feed = Feed(task.files, COLUMNS, batch_size=settings.batch_contents, shuffle_rows=0, seed=settings.seed)
    share = settings.batch_contents // world.size

    def epochs(number: int) -> Iterator[dict[str, torch.Tensor]]:
        for rows in feed.epoch(number):
            if len(rows["content"]) == settings.batch_contents:  # drop an epoch's incomplete last batch
                yield {name: column[world.rank * share :][:share] for name, column in rows.items()}

    record = align(encoder, epochs, settings, checkpoints=Checkpoints(task.checkpoint), world=world)
    if world.rank == 0:
        encoder.save(task.out)
        write_record(record, task.out)
