"""Training of a ranker: binary cross entropy, early stopping on the validation AUC, and the best weights are kept."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from models.progress import Progress
from models.ranker.network.ranker import Batch, Ranker
from models.ranker.training.metrics import auc
from models.ranker.training.optimiser import Optimisers, clip_gradients
from models.training_state import Checkpoints
from models.world import World

MEASURED_BATCHES = 32
"""Number of batches that determine the bins of the head's numeric inputs."""


@dataclass(frozen=True, kw_only=True)
class TrainingParameters:
    """How a ranker is trained.

    Attributes:
        learning_rate: initial learning rate; a cosine schedule lowers it to a tenth over ``max_epochs``.
        weight_decay: weight decay of AdamW; tables with sparse gradients have none.
        max_epochs: largest number of epochs.
        patience: number of epochs without a better validation AUC after which training stops.
        validations_per_epoch: number of times per epoch that the validation AUC is measured.
        largest_gradient: largest joint norm of all gradients; 0 clips nothing.
        bfloat16: whether the ranker computes in bfloat16; its weights stay float32.
        compile: whether the ranker's loss is compiled by ``torch.compile``.
        checkpoint_steps: number of steps between checkpoints.
        seed: random seed of dropout.
    """

    learning_rate: float
    weight_decay: float
    max_epochs: int
    patience: int
    validations_per_epoch: int
    largest_gradient: float = 5.0
    bfloat16: bool = False
    compile: bool = False
    checkpoint_steps: int = 1000
    seed: int = 17


@dataclass
class TrainingRecord:
    """The training curve and timing of a ranker's training.

    Attributes:
        points: one entry per validation: ``step``, ``auc`` (validation AUC, mean over tasks) and, but for one before
            the first step, ``loss`` (mean since the previous validation).
        best_step: step of the best validation AUC, whose weights are kept.
        best_auc: best validation AUC.
        seconds: wall time of this process.
        resumed_at: step of the checkpoint that the training resumed from; 0 without one.
    """

    points: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best_auc: float = float("nan")
    seconds: float = 0.0
    resumed_at: int = 0


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

    The same seed and data give bitwise equal weights, even if the run is killed and resumes from its checkpoint.
    Several processes take each step together, each on its own rows, and the loss is the mean over all of their rows. A
    process without rows left in an epoch takes part with zero rows, so that every row counts once and no process waits.

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
    record, started = training.record, time.monotonic()
    if checkpoints is not None and (state := checkpoints.load()) is not None:
        training.restore(state)
        record.resumed_at = training.step
    shown = training.world.rank == 0
    progress = Progress(f"train {name}", training.steps, training.step, told=shown)
    batches = _batches(train, training.step, steps_per_epoch, parameters.max_epochs)
    if goes_on and not training.step:
        training.validate(valid())
    elif not training.step:
        batches = training.measure_numbers(batches)
    for batch in batches:
        training.train(batch)
        progress.advance()
        if training.validates and training.validate(valid()):
            break
        if training.step % parameters.checkpoint_steps == 0 and checkpoints is not None and shown:
            checkpoints.save(training.state())
    ranker.load_state_dict(training.best)
    record.seconds = time.monotonic() - started
    return record


class _Training:
    """A ranker in training: its optimisers, current step and best weights so far."""

    def __init__(self, ranker: Ranker, steps_per_epoch: int, p: TrainingParameters, *, name: str, world: World) -> None:
        self.ranker, self.parameters, self.name, self.world = ranker, p, name, world
        self.step, self.steps_per_epoch, self.steps = 0, steps_per_epoch, steps_per_epoch * p.max_epochs
        self.interval = max(1, math.ceil(steps_per_epoch / p.validations_per_epoch))
        self.patience = p.patience * steps_per_epoch
        self.optimisers = Optimisers(ranker, p.learning_rate, p.weight_decay, self.steps)
        self.record, self.losses = TrainingRecord(), list[float]()
        self.best = copy.deepcopy(ranker.state_dict())
        self.loss = torch.compile(ranker.loss) if p.compile else ranker.loss

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, for a checkpoint."""
        return {
            "step": self.step,
            "weights": self.ranker.state_dict(),
            "best": self.best,
            "optimisers": self.optimisers.state(),
            "losses": self.losses,
            "record": asdict(self.record),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Loads a state that :meth:`state` returned."""
        self.step, self.best, self.losses = state["step"], state["best"], list(state["losses"])
        self.ranker.load_state_dict(state["weights"])
        self.optimisers.restore(state["optimisers"])
        for name, value in state["record"].items():
            setattr(self.record, name, value)

    def measure_numbers(self, batches: Iterator[Batch | None]) -> Iterator[Batch | None]:
        """Computes the bins of the head's numeric inputs from the first batches; then yields all batches."""
        first = deque(itertools.islice(batches, min(MEASURED_BATCHES, self.steps_per_epoch)))
        self.ranker.measure_numbers((batch for batch in first if batch is not None), self.world)
        self.best = copy.deepcopy(self.ranker.state_dict())
        while first:
            yield first.popleft()
        yield from batches

    def train(self, batch: Batch | None) -> float:
        """Takes one training step; the batch is None if this process has no rows left in the epoch.

        Returns:
            The mean loss over the rows of all processes.
        """
        p, world = self.parameters, self.world
        # Dropout depends only on the seed and the step, so that a resumed training gives the same weights.
        torch.manual_seed((p.seed * 1_000_003 + self.step) * world.size + world.rank)
        self.ranker.train()
        self.optimisers.zero_grad()
        rows = 0 if batch is None else _rows(batch)
        total = world.total(rows)
        if not total:
            raise ValueError(f"{self.name}: step {self.step + 1} has no rows; run build_examples again")
        own = 0.0
        if batch is not None:
            with torch.autocast("cpu", torch.bfloat16, enabled=p.bfloat16):
                loss = self.loss(batch) * (rows / total)
            own = loss.item()
            loss.backward()
        mean = world.total(own)
        self._check(mean, "loss")
        self.optimisers.sum_gradients(world)
        self._check(clip_gradients(self.optimisers.weights, p.largest_gradient).item(), "gradient")
        self.optimisers.step()
        self.step += 1
        self.losses.append(mean)
        return mean

    @property
    def validates(self) -> bool:
        """Whether a validation is due: at equal distances within an epoch, and at its end."""
        of_epoch = self.step % self.steps_per_epoch
        return of_epoch % self.interval == 0

    def validate(self, batches: Iterable[Batch]) -> bool:
        """Measures the validation AUC, and keeps the weights if it is the best so far.

        Returns:
            Whether to stop, because the best AUC is at least ``patience`` epochs old.
        """
        record = self.record
        found = validation_auc(self.ranker, batches, self.world)
        loss = {"loss": float(np.mean(self.losses))} if self.losses else {}
        record.points.append({"step": self.step, **loss, "auc": found})
        self.losses = []
        if record.best_auc >= found:
            return self.step - record.best_step >= self.patience
        record.best_auc, record.best_step = found, self.step
        self.best = copy.deepcopy(self.ranker.state_dict())
        return False

    def _check(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{self.name}: the {what} of step {self.step + 1} is {value}; lower ranker.learning_rate. The last"
                " checkpoint is kept"
            )


def _batches(
    train: Callable[[int], Iterable[Batch]], done: int, steps_per_epoch: int, epochs: int
) -> Iterator[Batch | None]:
    """Yields ``steps_per_epoch`` batches per epoch, None once the rows are used up; skips the steps already done."""
    for epoch in range(done // steps_per_epoch, epochs):
        batches = iter(train(epoch))
        begun = done % steps_per_epoch if epoch == done // steps_per_epoch else 0
        batches = itertools.islice(batches, begun, None)
        for _ in range(begun, steps_per_epoch):
            yield next(batches, None)
        if next(batches, None) is not None:
            raise ValueError(f"epoch {epoch} has more batches than steps_per_epoch, {steps_per_epoch}")


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


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
    pairs = [torch.stack([ranker.labels(batch), ranker.probabilities(batch)], dim=1) for batch in batches]
    labels, scores = (world or World()).gather(torch.cat([none, *pairs])).unbind(1)
    return float(np.nanmean([auc(labels[:, i].numpy(), scores[:, i].numpy()) for i in range(labels.shape[1])]))
