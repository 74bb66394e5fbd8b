"""One process of a retriever's training: it reads its share of the moments and trains; rank 0 writes the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from models.device import training_device
from models.feed.feed import Feed
from models.processes import as_one_of_many, write_record
from models.retriever.catalogue import Catalogue
from models.retriever.network.network import Retriever
from models.retriever.network.shape import RetrieverShape
from models.retriever.saved import save_network
from models.retriever.training.starts import tokens_from
from models.retriever.training.training import RetrieverParameters, RetrieverTraining
from models.retriever.tree import CodeTree
from models.training_state import Checkpoints
from models.world import World


@dataclass(frozen=True)
class RetrieverTask:
    """Inputs of a retriever's training, the same for every process.

    Attributes:
        shape: shape of the network.
        parameters: training parameters.
        train: feed of the train moments; ``batch_size`` is that of one process.
        valid: feed of the validation moments.
        catalogue: folder of the catalogue.
        codebook: folder of the codebook that tokens begin from; None for random tokens.
        actions: names of the actions.
        checkpoint: path of the checkpoint file.
        out: folder that the network is written to.
    """

    shape: RetrieverShape
    parameters: RetrieverParameters
    train: Feed
    valid: Feed
    catalogue: Path
    codebook: Path | None
    actions: Sequence[str]
    checkpoint: Path
    out: Path


def train_alone(task: RetrieverTask) -> None:
    """Trains in this process alone."""
    _train(task, World())


def train_together(task: RetrieverTask) -> None:
    """Trains as one of the processes that torchrun started."""
    as_one_of_many(partial(_train, task), task.out)


def _train(task: RetrieverTask, world: World) -> None:
    torch.manual_seed(task.parameters.seed)
    network = Retriever(task.shape, CodeTree.of(Catalogue.load(task.catalogue).codes, task.shape.prefix_rows))
    if task.codebook is not None:
        tokens_from(network, task.codebook)
    network = network.to(training_device(world))
    train, valid = (feed.sharded(world.rank, world.size) for feed in (task.train, task.valid))
    training = RetrieverTraining(network, train.steps, task.parameters, name="retriever", world=world)
    record = training.fit(train.epoch, lambda: valid.epoch(0), checkpoints=Checkpoints(task.checkpoint), goes_on=False)
    if world.rank == 0:
        save_network(network.cpu(), task.out, task.actions)
        write_record(record, task.out)
