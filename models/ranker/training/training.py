"""Training of a ranker: binary cross entropy, early stopping on the validation AUC, the best weights kept."""

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
from tqdm import tqdm

from models.ranker.network.ranker import Batch, Ranker
from models.ranker.training.metrics import auc
from models.ranker.training.optimiser import Optimisers, clip_gradients
from models.training_state import Checkpoints
from models.world import World

MEASURED_BATCHES = 32
"""Batches that the bins of the head's numbers are measured on."""


@dataclass(frozen=True, kw_only=True)
class TrainingParameters:
    """How a ranker is trained.

    Attributes:
        learning_rate: of the first step, decayed to a tenth over ``max_epochs`` by a cosine.
        weight_decay: AdamW's; tables with sparse gradients have none.
        max_epochs: passes over the train split, at most.
        patience: epochs without a better validation AUC before training stops.
        validations_per_epoch: how often the AUC is measured.
        largest_gradient: norm that gradients are clipped to, all weights together; 0 clips nothing.
        bfloat16: whether the ranker computes in bfloat16 beside float32 weights.
        compile: whether torch compiles the ranker.
        checkpoint_steps: steps between checkpoints.
        seed: of dropout.
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
    """What happened during training.

    Attributes:
        points: one per validation: ``step``, ``loss`` (mean since the last one), ``auc`` (validation, mean of tasks).
        best_step: the step whose weights were kept.
        best_auc: their validation AUC.
        seconds: wall time of this process.
        resumed_at: the step that a checkpoint let it begin from.
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
) -> TrainingRecord:
    """Trains in place; the ranker ends with the weights of the best validation AUC.

    The same seed and data give the same weights to the bit, also where a run was killed and goes on from its
    checkpoint. Several processes take a step together, each on its own rows, and the loss is the mean over all of
    their rows: one that has no rows left in an epoch takes part with none, so that every row counts once and no
    process waits for another.

    Memory: the weights, the best weights, and the optimisers' two moments: four times the tables; the validation
    split's labels and scores; at first :data:`MEASURED_BATCHES` batches.

    Args:
        ranker: to be trained.
        train: gives an epoch's batches of this process by its number.
        valid: gives this process's validation batches.
        steps_per_epoch: batches of one epoch; with several processes, those of the one that has most.
        parameters: how.
        name: shown with the progress.
        checkpoints: where training goes on from and what it leaves behind; None for neither.
        world: the processes that train together; None for this one alone.

    Returns:
        The training curve.

    Raises:
        FloatingPointError: loss or gradient are no longer numbers; the last checkpoint stays as it was.
        ValueError: an epoch has more batches than was said, or all processes together have none.
    """
    training = _Training(ranker, steps_per_epoch, parameters, name=name, world=world or World())
    record, started = training.record, time.monotonic()
    if checkpoints is not None and (state := checkpoints.load()) is not None:
        training.restore(state)
        record.resumed_at = training.step
    shown = training.world.rank == 0
    with tqdm(
        total=training.steps, initial=training.step, desc=f"train {name}", unit="step", mininterval=1, disable=not shown
    ) as progress:
        batches = _batches(train, training.step, steps_per_epoch, parameters.max_epochs)
        if not training.step:
            batches = training.measure_numbers(batches)
        for batch in batches:
            loss = training.train(batch)
            progress.set_postfix(loss=f"{loss:.4f}", valid_auc=f"{record.best_auc:.4f}", refresh=False)
            progress.update()
            if training.validates and training.validate(valid()):
                break
            if training.step % parameters.checkpoint_steps == 0 and checkpoints is not None and shown:
                checkpoints.save(training.state())
    ranker.load_state_dict(training.best)
    record.seconds = time.monotonic() - started
    return record


class _Training:
    """A ranker, its optimisers, the step it is at and what was best so far."""

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
        """All that the next step depends on."""
        return {
            "step": self.step,
            "weights": self.ranker.state_dict(),
            "best": self.best,
            "optimisers": self.optimisers.state(),
            "losses": self.losses,
            "record": asdict(self.record),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a state."""
        self.step, self.best, self.losses = state["step"], state["best"], list(state["losses"])
        self.ranker.load_state_dict(state["weights"])
        self.optimisers.restore(state["optimisers"])
        for name, value in state["record"].items():
            setattr(self.record, name, value)

    def measure_numbers(self, batches: Iterator[Batch | None]) -> Iterator[Batch | None]:
        """Measures the bins of the head's numbers on the first rows; gives all batches, those rows included."""
        first = deque(itertools.islice(batches, min(MEASURED_BATCHES, self.steps_per_epoch)))
        self.ranker.measure_numbers((batch for batch in first if batch is not None), self.world)
        self.best = copy.deepcopy(self.ranker.state_dict())
        while first:
            yield first.popleft()
        yield from batches

    def train(self, batch: Batch | None) -> float:
        """One step; None where this process has no rows left.

        Returns:
            The loss over all processes' rows.
        """
        p, world = self.parameters, self.world
        # Dropout's draws depend on the step alone: a training that goes on draws what it would have drawn.
        torch.manual_seed((p.seed * 1_000_003 + self.step) * world.size + world.rank)
        self.ranker.train()
        self.optimisers.zero_grad()
        rows = 0 if batch is None else _rows(batch)
        total = world.total(rows)
        if not total:
            raise ValueError(f"{self.name}: step {self.step + 1} has no rows")
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
        """Whether the validation AUC is due: within an epoch at even distances, and at its end."""
        of_epoch = self.step % self.steps_per_epoch
        return of_epoch % self.interval == 0

    def validate(self, batches: Iterable[Batch]) -> bool:
        """Measures the validation AUC and keeps the weights where it is the best.

        Returns:
            Whether the best one is too long ago.
        """
        record = self.record
        found = validation_auc(self.ranker, batches, self.world)
        record.points.append({"step": self.step, "loss": float(np.mean(self.losses)), "auc": found})
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
                " checkpoint stays"
            )


def _batches(
    train: Callable[[int], Iterable[Batch]], done: int, steps_per_epoch: int, epochs: int
) -> Iterator[Batch | None]:
    """As many batches in every epoch, None where there are fewer; those before a resumed step are passed over."""
    for epoch in range(done // steps_per_epoch, epochs):
        batches = iter(train(epoch))
        begun = done % steps_per_epoch if epoch == done // steps_per_epoch else 0
        batches = itertools.islice(batches, begun, None)
        for _ in range(begun, steps_per_epoch):
            yield next(batches, None)
        if next(batches, None) is not None:
            raise ValueError(f"epoch {epoch} has more than {steps_per_epoch} batches")


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


@torch.inference_mode()
def validation_auc(ranker: Ranker, batches: Iterable[Batch], world: World | None = None) -> float:
    """AUC over all of the batches, mean of the tasks that have both classes.

    Args:
        ranker: that scores.
        batches: of this process.
        world: whose processes each have some of the batches; None for this one alone.
    """
    ranker.eval()
    none = torch.zeros((0, 2, len(ranker.shape.tasks)))
    pairs = [torch.stack([ranker.labels(batch), ranker.probabilities(batch)], dim=1) for batch in batches]
    labels, scores = (world or World()).gather(torch.cat([none, *pairs])).unbind(1)
    return float(np.nanmean([auc(labels[:, i].numpy(), scores[:, i].numpy()) for i in range(labels.shape[1])]))
