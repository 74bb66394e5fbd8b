"""The training loop of a network: early stopping on a measure of the validation split, and the best weights are kept.

The ranker and the retriever train by it. A subclass says what the loss is and what is measured.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from models.device import in_bfloat16, on_device
from models.optimiser import Optimisers, clip_gradients
from models.progress import Progress
from models.training_state import Checkpoints
from models.world import World
from schemas.sections import Bfloat16

Batch = Mapping[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class TrainingParameters:
    """How a network is trained.

    Attributes:
        learning_rate: initial learning rate; a cosine schedule lowers it to a tenth over ``max_epochs``.
        weight_decay: weight decay of AdamW; tables with sparse gradients have none.
        max_epochs: largest number of epochs.
        patience: number of epochs without a better validation measure after which training stops.
        validations_per_epoch: number of times per epoch that the validation split is measured.
        largest_gradient: largest joint norm of all gradients; 0 clips nothing.
        bfloat16: whether the network computes in bfloat16; its weights stay float32.
        compile: whether the loss is compiled by ``torch.compile``.
        checkpoint_steps: number of steps between checkpoints.
        seed: random seed of dropout.
    """

    learning_rate: float
    weight_decay: float
    max_epochs: int
    patience: int
    validations_per_epoch: int
    largest_gradient: float = 5.0
    bfloat16: Bfloat16 = False
    compile: bool = False
    checkpoint_steps: int = 1000
    seed: int = 17


@dataclass
class TrainingRecord:
    """The training curve and timing of a training.

    Attributes:
        points: one entry per validation: ``step``, what was measured and, but for one before the first step, ``loss``
            (mean since the previous validation).
        best_step: step of the best validation, whose weights are kept.
        best: its measure.
        seconds: wall time of this process.
        resumed_at: step of the checkpoint that the training resumed from; 0 without one.
    """

    points: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best: float = float("nan")
    seconds: float = 0.0
    resumed_at: int = 0


class Training(ABC, Generic[Network]):
    """A network in training: its optimisers, current step and best weights so far.

    Attributes:
        section: section of the settings that the user is told to change.
        measure: the one of what :meth:`measured` gives that decides.
        way_out: what the user is told to do about a step without rows.
        first_batches: number of batches that :meth:`prepare` gets.

    Args:
        network: the network to train.
        steps_per_epoch: number of batches in an epoch; with several processes, that of the process with the most.
        parameters: training parameters.
        name: name in the progress and in messages.
        world: the processes that train together.
    """

    section: ClassVar[str]
    measure: ClassVar[str]
    way_out: ClassVar[str]
    first_batches: ClassVar[int] = 0

    def __init__(
        self, network: Network, steps_per_epoch: int, parameters: TrainingParameters, *, name: str, world: World
    ) -> None:
        self.network, self.parameters, self.name, self.world = network, parameters, name, world
        self.step, self.steps_per_epoch = 0, steps_per_epoch
        self.steps = steps_per_epoch * parameters.max_epochs
        self.interval = max(1, math.ceil(steps_per_epoch / parameters.validations_per_epoch))
        self.patience = parameters.patience * steps_per_epoch
        self.device = next(network.parameters()).device
        self.bfloat16 = in_bfloat16(parameters.bfloat16, self.device)
        self.optimisers = Optimisers(network, parameters.learning_rate, parameters.weight_decay, self.steps)
        self.record, self.losses = TrainingRecord(), list[float]()
        self.best: dict[str, Tensor] = {}
        self.loss = torch.compile(self.loss_of) if parameters.compile else self.loss_of

    @abstractmethod
    def loss_of(self, batch: Batch) -> Tensor:
        """The loss of a batch, a mean over its rows."""

    @abstractmethod
    def measured(self, batches: Iterable[Batch]) -> dict[str, float]:
        """What is measured on the validation split, over all processes; of :attr:`measure`, more is better.

        Args:
            batches: this process's batches, on the device of the network; so are those of the other methods.
        """

    def prepare(self, batches: Iterator[Batch]) -> None:
        """Looks at the first batches before the first step, unless the network is trained already."""

    def after_step(self) -> None:
        """Called after each step's update of the weights."""

    def fit(
        self,
        train: Callable[[int], Iterable[Batch]],
        valid: Callable[[], Iterable[Batch]],
        *,
        checkpoints: Checkpoints | None,
        goes_on: bool,
    ) -> TrainingRecord:
        """Trains the network in place; at the end it has the weights of the best validation.

        The same seed and data give bitwise equal weights on a processor, even if the run is killed and resumes from
        its checkpoint. Several processes take each step together, each on its own rows, and the loss is the mean over
        all of their rows. A process without rows left in an epoch takes part with zero rows, so that every row counts
        once and no process waits.

        Args:
            train: returns this process's batches of the epoch with the given number.
            valid: returns this process's validation batches.
            checkpoints: file to resume from and to save to; None for no checkpoints.
            goes_on: whether the network is trained already. Then it is not prepared, and its weights stay if no step
                makes the validation better.

        Raises:
            FloatingPointError: a loss or gradient is NaN or infinite; the last checkpoint is kept.
            ValueError: an epoch has more than ``steps_per_epoch`` batches, or no process has rows for a step.
        """
        p, record, started = self.parameters, self.record, time.monotonic()
        if checkpoints is not None and (state := checkpoints.load()) is not None:
            self.restore(state)
            record.resumed_at = self.step
        shown = self.world.rank == 0
        progress = Progress(f"train {self.name}", self.steps, self.step, told=shown)
        batches = _batches(train, self.step, self.steps_per_epoch, p.max_epochs)
        if goes_on and not self.step:
            self.validate(valid())
        elif not self.step:
            batches = self._prepared(batches)
        for batch in batches:
            self.train(batch)
            progress.advance()
            if self.validates and self.validate(valid()):
                break
            if self.step % p.checkpoint_steps == 0 and checkpoints is not None and shown:
                checkpoints.save(self.state())
        self.network.load_state_dict(self.best)
        record.seconds = time.monotonic() - started
        return record

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, for a checkpoint."""
        return {
            "step": self.step,
            "weights": self.network.state_dict(),
            "best": self.best,
            "optimisers": self.optimisers.state(),
            "losses": self.losses,
            "record": asdict(self.record),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Loads a state that :meth:`state` returned."""
        self.step, self.best, self.losses = state["step"], state["best"], list(state["losses"])
        self.network.load_state_dict(state["weights"])
        self.optimisers.restore(state["optimisers"])
        for name, value in state["record"].items():
            setattr(self.record, name, value)

    def _prepared(self, batches: Iterator[Batch | None]) -> Iterator[Batch | None]:
        """Prepares the network by the first batches; then yields all batches."""
        first = deque(itertools.islice(batches, min(self.first_batches, self.steps_per_epoch)))
        self.prepare(on_device(batch, self.device) for batch in first if batch is not None)
        self.best = copy.deepcopy(self.network.state_dict())
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
        self.network.train()
        self.optimisers.zero_grad()
        rows = 0 if batch is None else _rows(batch)
        total = world.total(rows)
        if not total:
            raise ValueError(f"{self.name}: step {self.step + 1} has no rows; {self.way_out}")
        own = 0.0
        if batch is not None:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                loss = self.loss(on_device(batch, self.device)) * (rows / total)
            own = loss.item()
            loss.backward()
        mean = world.total(own)
        self._check(mean, "loss")
        self.optimisers.sum_gradients(world)
        self._check(clip_gradients(self.optimisers.weights, p.largest_gradient).item(), "gradient")
        self.optimisers.step()
        self.after_step()
        self.step += 1
        self.losses.append(mean)
        return mean

    @property
    def validates(self) -> bool:
        """Whether a validation is due: at equal distances within an epoch, and at its end."""
        of_epoch = self.step % self.steps_per_epoch
        return of_epoch % self.interval == 0

    def validate(self, batches: Iterable[Batch]) -> bool:
        """Measures the validation split, and keeps the weights if it is the best so far.

        Returns:
            Whether to stop, because the best is at least ``patience`` epochs old.
        """
        record = self.record
        found = self.measured(on_device(batch, self.device) for batch in batches)
        loss = {"loss": float(np.mean(self.losses))} if self.losses else {}
        record.points.append({"step": self.step, **loss, **found})
        self.losses = []
        if record.best >= found[self.measure]:
            return self.step - record.best_step >= self.patience
        record.best, record.best_step = found[self.measure], self.step
        self.best = copy.deepcopy(self.network.state_dict())
        return False

    def _check(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{self.name}: the {what} of step {self.step + 1} is {value}; lower {self.section}.learning_rate. The"
                " last checkpoint is kept"
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
