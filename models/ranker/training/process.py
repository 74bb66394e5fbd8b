"""One process of a ranker's training: it reads its share of the examples and trains; rank 0 writes the ranker."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file

from models.device import training_device
from models.feed.feed import Feed
from models.processes import as_one_of_many, write_record
from models.ranker.network.ranker import Ranker
from models.ranker.network.saved import save_ranker
from models.ranker.network.shape import RankerShape
from models.ranker.network.texts.arrays import ItemTexts
from models.ranker.training.training import train_ranker
from models.training_loop import TrainingParameters
from models.training_state import Checkpoints
from models.world import World


@dataclass(frozen=True)
class RankerTask:
    """Inputs of a ranker's training, the same for every process.

    Attributes:
        name: name of the ranker.
        shape: shape of the ranker.
        parameters: training parameters.
        train: feed of the train split; ``batch_size`` is that of one process.
        valid: feed of the validation split.
        start: file with initial weights, for a warm start; None for random weights.
        goes_on: whether these are the weights of a ranker that learns from what is new.
        checkpoint: path of the checkpoint file.
        out: folder that the ranker is written to.
        texts: folder of the item texts, see :class:`models.ranker.network.texts.arrays.ItemTexts`; None for a ranker
            that reads none.
    """

    name: str
    shape: RankerShape
    parameters: TrainingParameters
    train: Feed
    valid: Feed
    start: Path | None
    checkpoint: Path
    out: Path
    goes_on: bool = False
    texts: Path | None = None


def train_alone(task: RankerTask) -> None:
    """Trains in this process alone."""
    _train(task, World())


def train_together(task: RankerTask) -> None:
    """Trains as one of the processes that torchrun started."""
    as_one_of_many(partial(_train, task), task.out)


def beginning(shape: RankerShape, texts: ItemTexts | None, start: Path | None) -> Ranker:
    """A ranker before its training.

    Args:
        shape: its shape.
        texts: the item texts that it reads; None if it reads none.
        start: file with its weights; None for random ones, with base tokens as the language model has them.
    """
    ranker = Ranker(shape)
    if ranker.text is not None and texts is not None:
        ranker.text.encoder.begin(texts.of)
    if start is not None:
        ranker.load_state_dict(load_file(start))
    if ranker.text is not None and texts is not None:
        ranker.text.open(texts)
    return ranker


def _train(task: RankerTask, world: World) -> None:
    torch.manual_seed(task.parameters.seed)
    ranker = beginning(task.shape, None if task.texts is None else ItemTexts.load(task.texts), task.start)
    train, valid = (feed.sharded(world.rank, world.size) for feed in (task.train, task.valid))
    ranker = ranker.to(training_device(world))
    record = train_ranker(
        ranker, train.epoch, lambda: valid.epoch(0), train.steps, parameters=task.parameters, name=task.name,
        checkpoints=Checkpoints(task.checkpoint), world=world, goes_on=task.goes_on,
    )  # fmt: skip
    if world.rank == 0:
        save_ranker(ranker.cpu(), task.out, task.name)
        write_record(record, task.out)
