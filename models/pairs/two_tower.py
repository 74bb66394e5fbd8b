"""A two-tower model; its item vectors are used to find which of a user's earlier items led to a positive event.

The item tower reads the item's embedding plus the mean embedding of the item's features (category, attributes, title
words). The user tower reads the mean embedding of the user's recent positive items. The loss is a softmax over the
targets of the batch (in-batch negatives). The logarithm of each item's frequency as a target is subtracted from its
logit, which corrects for popular items being sampled more often as negatives (logQ correction; Yi et al., RecSys 2019).
QARM V2 exports its User2Item pairs from such a model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from models.device import on_device, own_device
from models.progress import tracked

SHARED_ROW = 1
FIRST_ROW = 2
"""Row 0 of the item table is padding. Row 1 is shared by all items that have no row of their own."""


@dataclass(frozen=True, kw_only=True)
class TowerShape:
    """Sizes of a two-tower model.

    Attributes:
        item_rows: number of items with a row of their own in the item table; their item numbers are below it.
        feature_rows: number of features, numbered from 1; 0 is padding.
        dim: width of the embedding tables and of the output vectors.
    """

    item_rows: int
    feature_rows: int
    dim: int


@dataclass(frozen=True, kw_only=True)
class TowerTraining:
    """Training settings of a two-tower model.

    Attributes:
        steps: number of training batches; the examples are repeated for as many epochs as needed.
        learning_rate: Adam's initial learning rate; it falls linearly to 0 over the steps.
        temperature: softmax temperature.
        seed: random seed of the initial weights.
    """

    steps: int
    learning_rate: float
    temperature: float
    seed: int


class TwoTower(nn.Module):
    """An item tower and a user tower that share one item table."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.shape = shape
        self.items = nn.Embedding(shape.item_rows + FIRST_ROW, shape.dim, padding_idx=0, sparse=True)
        self.features = nn.EmbeddingBag(shape.feature_rows + 1, shape.dim, mode="mean", padding_idx=0, sparse=True)
        nn.init.normal_(self.items.weight, std=shape.dim**-0.5)
        nn.init.normal_(self.features.weight, std=shape.dim**-0.5)
        with torch.no_grad():
            self.items.weight[0] = 0
        self.item_tower = _head(shape.dim)
        self.user_tower = _head(shape.dim)

    def rows_of(self, items: Tensor) -> Tensor:
        """Rows of the item table for item numbers; the number -1 is padding."""
        rows = torch.where(items < self.shape.item_rows, items + FIRST_ROW, SHARED_ROW)
        return torch.where(items < 0, 0, rows)

    def item_vectors(self, items: Tensor, features: Tensor) -> Tensor:
        """Unit vectors of items.

        Args:
            items: item numbers, shape (n,).
            features: feature numbers, padded with 0, shape (n, features).

        Returns:
            Shape (n, dim).
        """
        return functional.normalize(self.item_tower(self.items(self.rows_of(items)) + self.features(features)), dim=-1)

    def user_vectors(self, recent: Tensor) -> Tensor:
        """Unit vectors of users.

        Args:
            recent: item numbers of each user's recent positives, padded with -1, shape (n, length).

        Returns:
            Shape (n, dim).
        """
        seen = (recent >= 0).sum(1, keepdim=True).clamp(min=1)
        return functional.normalize(self.user_tower(self.items(self.rows_of(recent)).sum(1) / seen), dim=-1)


def _head(dim: int) -> nn.Module:
    return nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))


def in_batch_loss(users: Tensor, targets: Tensor, items: Tensor, log_q: Tensor, *, temperature: float) -> Tensor:
    """Softmax loss over the batch's targets with logQ correction.

    Other rows that have the same target as a row are not used as its negatives.

    Args:
        users: unit vectors, shape (n, dim).
        targets: unit vectors of the rows' targets, shape (n, dim).
        items: item numbers of the rows' targets, shape (n,).
        log_q: logarithm of each target's frequency as a target, shape (n,).
        temperature: divides the logits.

    Returns:
        The mean loss.
    """
    logits = users @ targets.T / temperature - log_q
    same = (items[:, None] == items[None, :]) & ~torch.eye(len(items), dtype=torch.bool, device=items.device)
    return functional.cross_entropy(logits.masked_fill(same, -torch.inf), torch.arange(len(items), device=items.device))


def train_two_tower(
    shape: TowerShape,
    epoch: Callable[[int], Iterable[Mapping[str, Tensor]]],
    training: TowerTraining,
) -> tuple[TwoTower, list[float]]:
    """Trains a two-tower model from scratch.

    Memory: three times the embedding tables (weights and Adam's two moments).

    Args:
        shape: sizes of the model.
        epoch: returns the batches of the epoch with the given number; a batch has the columns ``item``, ``features``,
            ``recent`` and ``log_q``.
        training: training settings.

    Returns:
        The model, and the mean loss of each tenth of the steps.

    Raises:
        FloatingPointError: the loss is NaN or infinite.
        ValueError: no batch has at least two rows.
    """
    torch.manual_seed(training.seed)
    device = own_device()
    model = TwoTower(shape).to(device)
    heads = [*model.item_tower.parameters(), *model.user_tower.parameters()]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.SparseAdam([model.items.weight, model.features.weight], lr=training.learning_rate),
        torch.optim.Adam(heads, lr=training.learning_rate),
    ]
    schedules = [
        torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=training.steps) for optimiser in optimisers
    ]
    losses = []
    for rows in tracked(_batches(epoch, training.steps), "train two_tower", training.steps):
        batch = on_device(rows, device)
        users = model.user_vectors(batch["recent"])
        targets = model.item_vectors(batch["item"], batch["features"])
        loss = in_batch_loss(users, targets, batch["item"], batch["log_q"], temperature=training.temperature)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(
                f"the two-tower model's loss is {losses[-1]} in step {len(losses)}; lower mine.user2item.learning_rate"
            )
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            schedule.step()
    return model.cpu(), [float(np.mean(part)) for part in np.array_split(losses, 10) if len(part)]


def _batches(epoch: Callable[[int], Iterable[Mapping[str, Tensor]]], steps: int) -> Iterator[Mapping[str, Tensor]]:
    """Yields ``steps`` batches, from as many epochs as needed; skips batches of one row, which have no negatives."""
    done = 0
    for number in count():
        before = done
        for batch in epoch(number):
            if len(batch["item"]) > 1:
                yield batch
                done += 1
            if done == steps:
                return
        if done == before:
            raise ValueError(
                "the two-tower model needs at least two examples; add events, or set mine.user2item.model=none"
            )


def save_two_tower(model: TwoTower, folder: Path) -> None:
    """Writes the model's weights and shape to a folder."""
    save_file(model.state_dict(), folder / "two_tower.safetensors")
    (folder / "two_tower.json").write_text(json.dumps(asdict(model.shape)), encoding="utf-8")


def load_two_tower(folder: Path) -> TwoTower:
    """Reads the model that :func:`save_two_tower` wrote."""
    model = TwoTower(TowerShape(**json.loads((folder / "two_tower.json").read_text(encoding="utf-8"))))
    model.load_state_dict(load_file(folder / "two_tower.safetensors"))
    return model.eval()
