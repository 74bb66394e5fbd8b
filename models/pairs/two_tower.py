"""A two-tower model whose item space says which of a user's earlier items led to a positive.

The item tower takes an item's own vector and the mean of its features' (category, attributes, title words); the user
tower the mean of the recent positives' own vectors. Trained by softmax over the targets of the batch, each logit less
the log of how often its item is a target, which takes popularity out of the sampling (logQ; Yi et al., RecSys 2019).
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
from tqdm import tqdm

SHARED_ROW = 1
FIRST_ROW = 2
"""Row 0 of the item table is padding, row 1 all items without a vector of their own."""


@dataclass(frozen=True, kw_only=True)
class TowerShape:
    """Sizes of a two-tower model.

    Attributes:
        item_rows: items with a vector of their own; the item numbers below it.
        feature_rows: rows of the feature table; features are 1 to this, 0 is padding.
        dim: width of tables and space.
    """

    item_rows: int
    feature_rows: int
    dim: int


@dataclass(frozen=True, kw_only=True)
class TowerTraining:
    """How it is trained.

    Attributes:
        steps: batches trained on; the examples are passed over as often as it takes.
        learning_rate: Adam's, falling to 0 over the steps.
        temperature: of the softmax.
        seed: of the initial weights.
    """

    steps: int
    learning_rate: float
    temperature: float
    seed: int


class TwoTower(nn.Module):
    """The two towers, over one item table."""

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
        """Rows of the item table for item numbers; -1 is padding."""
        rows = torch.where(items < self.shape.item_rows, items + FIRST_ROW, SHARED_ROW)
        return torch.where(items < 0, 0, rows)

    def item_vectors(self, items: Tensor, features: Tensor) -> Tensor:
        """Unit vectors of items.

        Args:
            items: item numbers, shape (n,).
            features: shape (n, features), padded by 0.

        Returns:
            Shape (n, dim).
        """
        return functional.normalize(self.item_tower(self.items(self.rows_of(items)) + self.features(features)), dim=-1)

    def user_vectors(self, recent: Tensor) -> Tensor:
        """Unit vectors of users.

        Args:
            recent: item numbers, padded by -1, shape (n, length).

        Returns:
            Shape (n, dim).
        """
        seen = (recent >= 0).sum(1, keepdim=True).clamp(min=1)
        return functional.normalize(self.user_tower(self.items(self.rows_of(recent)).sum(1) / seen), dim=-1)


def _head(dim: int) -> nn.Module:
    return nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))


def in_batch_loss(users: Tensor, targets: Tensor, items: Tensor, log_q: Tensor, *, temperature: float) -> Tensor:
    """Softmax over the batch's targets with logQ correction; a row's target taken by other rows is no negative.

    Args:
        users: unit vectors, shape (n, dim).
        targets: unit vectors of the rows' targets, shape (n, dim).
        items: their item numbers, shape (n,).
        log_q: log of how often each is a target, shape (n,).
        temperature: the logits are divided by.

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
    """Trains a model from scratch.

    Memory: the tables three times (weights and Adam's two moments).

    Args:
        shape: sizes.
        epoch: gives an epoch's batches by its number: ``item``, ``features``, ``recent``, ``log_q``.
        training: how.

    Returns:
        The model, and the mean loss of each tenth of the steps.

    Raises:
        FloatingPointError: the loss is no longer a number.
        ValueError: no batch has two rows.
    """
    torch.manual_seed(training.seed)
    model = TwoTower(shape)
    heads = [*model.item_tower.parameters(), *model.user_tower.parameters()]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.SparseAdam([model.items.weight, model.features.weight], lr=training.learning_rate),
        torch.optim.Adam(heads, lr=training.learning_rate),
    ]
    schedules = [
        torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=training.steps) for optimiser in optimisers
    ]
    losses = []
    batches = tqdm(
        _batches(epoch, training.steps), desc="train two_tower", total=training.steps, unit="step", mininterval=1
    )
    for batch in batches:
        users = model.user_vectors(batch["recent"])
        targets = model.item_vectors(batch["item"], batch["features"])
        loss = in_batch_loss(users, targets, batch["item"], batch["log_q"], temperature=training.temperature)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(
                f"the two-tower model's loss is not a number in step {len(losses)}; lower mine.user2item.learning_rate"
            )
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            schedule.step()
    return model, [float(np.mean(part)) for part in np.array_split(losses, 10) if len(part)]


def _batches(epoch: Callable[[int], Iterable[Mapping[str, Tensor]]], steps: int) -> Iterator[Mapping[str, Tensor]]:
    """So many batches, from as many epochs as it takes; a batch of one row has no negatives and is passed over."""
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
            raise ValueError("the two-tower model needs at least two examples")


def save_two_tower(model: TwoTower, folder: Path) -> None:
    """Writes weights and shape to a folder."""
    save_file(model.state_dict(), folder / "two_tower.safetensors")
    (folder / "two_tower.json").write_text(json.dumps(asdict(model.shape)), encoding="utf-8")


def load_two_tower(folder: Path) -> TwoTower:
    """Reads what :func:`save_two_tower` wrote."""
    model = TwoTower(TowerShape(**json.loads((folder / "two_tower.json").read_text(encoding="utf-8"))))
    model.load_state_dict(load_file(folder / "two_tower.safetensors"))
    return model.eval()
