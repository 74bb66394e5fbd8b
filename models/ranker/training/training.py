"""Training of a ranker: binary cross entropy, early stopping on the validation AUC, and the best weights are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from models.ranker.network.ranker import Batch, Ranker
from models.ranker.training.metrics import auc
from models.training_loop import Training, TrainingParameters, TrainingRecord
from models.training_state import Checkpoints
from models.world import World

MEASURED_BATCHES = 32
"""Number of batches that determine the bins of the head's numeric inputs."""


def train_ranker(
    ranker: Ranker,
    train: Callable[[int], Iterable[Batch]],
    valid: Callable[[], Iterable[Batch]],
    steps_per_epoch: int,
    *,
    parameters: TrainingParameters,
    name: str,
    checkpoints: Checkpoints | None = None,
    world: World | None = None,
    goes_on: bool = False,
) -> TrainingRecord:
    """Trains a ranker in place; at the end it has the weights of the best validation AUC.

    Memory: four times the tables (weights, best weights and the optimisers' two moments), the labels and scores of the
    validation split, and at the start :data:`MEASURED_BATCHES` batches.

    Args:
        ranker: the ranker to train.
        train: returns this process's batches of the epoch with the given number.
        valid: returns this process's validation batches.
        steps_per_epoch: number of batches in an epoch; with several processes, that of the process with the most.
        parameters: training parameters.
        name: name in the progress and in messages.
        checkpoints: file to resume from and to save to; None for no checkpoints.
        world: the processes that train together; None for this process alone.
        goes_on: whether the ranker is trained already. Then the bins of its numeric inputs stay, and its weights too if
            no step makes the validation AUC better.

    Returns:
        The training curve.

    Raises:
        FloatingPointError: a loss or gradient is NaN or infinite; the last checkpoint is kept.
        ValueError: an epoch has more than ``steps_per_epoch`` batches, or no process has rows for a step.
    """
    training = _Training(ranker, steps_per_epoch, parameters, name=name, world=world or World())
    return training.fit(train, valid, checkpoints=checkpoints, goes_on=goes_on)


class _Training(Training[Ranker]):
    """A ranker in training."""

    section, measure, way_out = "ranker", "auc", "run build_examples again"
    first_batches = MEASURED_BATCHES

    def loss_of(self, batch: Batch) -> torch.Tensor:
        """Binary cross entropy, mean over the rows and the tasks."""
        return self.network.loss(batch)

    def prepare(self, batches: Iterator[Batch]) -> None:
        """Computes the bins of the head's numeric inputs, and fills the memory bank that histories read."""
        self.network.measure_numbers(batches, self.world)
        self.network.fill_bank()

    def measured(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The validation AUC; the memory bank is filled first, so that validation reads what serving will."""
        self.network.fill_bank()
        return {"auc": validation_auc(self.network, batches, self.world)}


@torch.inference_mode()
def validation_auc(ranker: Ranker, batches: Iterable[Batch], world: World | None = None) -> float:
    """AUC over all batches, mean over the tasks that have both classes.

    Args:
        ranker: the ranker to validate.
        batches: this process's batches.
        world: the processes that share the batches; None for this process alone.
    """
    ranker.eval()
    none = torch.zeros((0, 2, len(ranker.shape.tasks)))
    pairs = [torch.stack([ranker.labels(batch), ranker.probabilities(batch)], dim=1).cpu() for batch in batches]
    labels, scores = (world or World()).gather(torch.cat([none, *pairs])).unbind(1)
    return float(np.nanmean([auc(labels[:, i].numpy(), scores[:, i].numpy()) for i in range(labels.shape[1])]))
