"""Training of a ranker: binary cross entropy, early stopping on the validation AUC, the best weights kept."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm import tqdm

from qarm.models.ranker.metrics import auc
from qarm.models.ranker.ranker import Batch, Ranker


@dataclass(frozen=True)
class TrainingParameters:
    """How a ranker is trained.

    Attributes:
        learning_rate: AdamW's, decayed to a tenth over ``max_epochs`` by a cosine.
        weight_decay: AdamW's.
        max_epochs: passes over the train split, at most.
        patience: epochs without a better validation AUC before training stops.
        validations_per_epoch: how often the AUC is measured.
    """

    learning_rate: float
    weight_decay: float
    max_epochs: int
    patience: int
    validations_per_epoch: int


@dataclass
class TrainingRecord:
    """What happened during training.

    Attributes:
        points: one per validation: ``step``, ``loss`` (mean since the last one), ``auc`` (validation, mean of tasks).
        best_step: the step whose weights were kept.
        best_auc: their validation AUC.
        seconds: wall time.
    """

    points: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    best_auc: float = float("nan")
    seconds: float = 0.0


def train_ranker(
    ranker: Ranker,
    train: Callable[[int], Iterable[Batch]],
    valid: Callable[[], Iterable[Batch]],
    steps_per_epoch: int,
    parameters: TrainingParameters,
    name: str,
) -> TrainingRecord:
    """Trains in place; the ranker ends with the weights of the best validation AUC.

    Args:
        ranker: to be trained.
        train: gives an epoch's batches by its number.
        valid: gives the validation batches.
        steps_per_epoch: batches of one epoch.
        parameters: how.
        name: shown with the progress.

    Returns:
        The training curve.

    Raises:
        FloatingPointError: the loss is no longer a number.
    """
    p = parameters
    optimiser = torch.optim.AdamW(ranker.parameters(), lr=p.learning_rate, weight_decay=p.weight_decay)
    total = steps_per_epoch * p.max_epochs
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total, eta_min=p.learning_rate / 10)
    interval = max(1, math.ceil(steps_per_epoch / p.validations_per_epoch))
    record, best, losses, start = TrainingRecord(), copy.deepcopy(ranker.state_dict()), [], time.monotonic()
    with tqdm(total=total, desc=f"train {name}", unit="step", mininterval=1) as progress:
        for step, batch in enumerate(_epochs(train, p.max_epochs), 1):
            losses.append(_step(ranker, batch, optimiser, schedule))
            progress.set_postfix(loss=f"{losses[-1]:.4f}", valid_auc=f"{record.best_auc:.4f}", refresh=False)
            progress.update()
            if step % interval:
                continue
            point = {"step": step, "loss": float(np.mean(losses)), "auc": validation_auc(ranker, valid())}
            record.points.append(point)
            losses = []
            if not record.best_auc >= point["auc"]:
                record.best_auc, record.best_step = point["auc"], step
                best = copy.deepcopy(ranker.state_dict())
            elif step - record.best_step >= p.patience * steps_per_epoch:
                break
    ranker.load_state_dict(best)
    record.seconds = time.monotonic() - start
    return record


def _epochs(train: Callable[[int], Iterable[Batch]], epochs: int) -> Iterator[Batch]:
    for epoch in range(epochs):
        yield from train(epoch)


def _step(
    ranker: Ranker, batch: Batch, optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
) -> float:
    ranker.train()
    loss = ranker.loss(batch)
    if not torch.isfinite(loss):
        raise FloatingPointError("the ranker's loss is not a number; lower ranker.learning_rate")
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(ranker.parameters(), 5.0)
    optimiser.step()
    schedule.step()
    return loss.item()


@torch.inference_mode()
def validation_auc(ranker: Ranker, batches: Iterable[Batch]) -> float:
    """AUC over all of the batches, mean of the tasks that have both classes."""
    ranker.eval()
    pairs = [(ranker.labels(batch).numpy(), ranker.probabilities(batch).numpy()) for batch in batches]
    labels = np.concatenate([pair[0] for pair in pairs])
    scores = np.concatenate([pair[1] for pair in pairs])
    return float(np.nanmean([auc(labels[:, i], scores[:, i]) for i in range(labels.shape[1])]))
