"""One process of an alignment: reads its share of the feed, trains, leaves the encoder in a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import distributed

from qarm.models.feed import Feed
from qarm.models.llm.alignment import AlignmentParameters, AlignmentRecord, align
from qarm.models.llm.alignment_batch import COLUMNS
from qarm.models.llm.checkpoints import Checkpoints
from qarm.models.llm.item_encoder import ItemEncoder
from qarm.models.llm.world import World

RECORD = "record.json"
MISTAKE = "mistake.txt"


@dataclass(frozen=True)
class AlignmentTask:
    """What every process of an alignment is given.

    Attributes:
        files: of the feed, rows in the order they are trained on.
        batch_contents: rows of a batch over all processes.
        model: folder of the converted language model.
        layers: see :class:`qarm.models.llm.item_encoder.ItemEncoder`.
        lora_rank: as there.
        parameters: of the training.
        checkpoint: file of the state.
        out: folder that the aligned encoder is written to.
        seed: of the adapters' start.
    """

    files: Sequence[str]
    batch_contents: int
    model: Path
    layers: int
    lora_rank: int
    parameters: AlignmentParameters
    checkpoint: Path
    out: Path
    seed: int


def align_alone(task: AlignmentTask) -> AlignmentRecord:
    """Trains in this process."""
    return _align(task, World())


def align_together(task: AlignmentTask) -> None:
    """Trains as one of the processes that torchrun started; the first writes encoder and record."""
    distributed.init_process_group("gloo")
    try:
        _align(task, World.of_process_group())
    except (ValueError, FloatingPointError) as error:
        (task.out / MISTAKE).write_text(str(error))
        raise
    finally:
        distributed.destroy_process_group()


def read_record(folder: Path) -> AlignmentRecord:
    """Takes the record out of a folder of an aligned encoder.

    Raises:
        ValueError: a process stopped at a mistake of the settings or at a loss that is no number; in its words.
    """
    if (folder / MISTAKE).is_file():
        raise ValueError((folder / MISTAKE).read_text())
    record = AlignmentRecord(**json.loads((folder / RECORD).read_text()))
    (folder / RECORD).unlink()
    return record


def _align(task: AlignmentTask, world: World) -> AlignmentRecord:
    torch.manual_seed(task.seed)
    encoder = ItemEncoder(task.model, "float32", task.layers, task.lora_rank)
    if torch.cuda.is_available():
        encoder.to(f"cuda:{os.environ.get('LOCAL_RANK', 0)}")
    feed = Feed(task.files, COLUMNS, task.batch_contents, shuffle_rows=0, seed=task.seed)
    share = task.batch_contents // world.size

    def epochs(number: int) -> Iterator[dict[str, torch.Tensor]]:
        for rows in feed.epoch(number):
            if len(rows["content"]) == task.batch_contents:  # the rest of an epoch is no whole batch
                yield {name: column[world.rank * share :][:share] for name, column in rows.items()}

    record = align(encoder, epochs, task.parameters, Checkpoints(task.checkpoint), world)
    if world.rank == 0:
        encoder.save(task.out)
        (task.out / RECORD).write_text(json.dumps(asdict(record)))
    return record
