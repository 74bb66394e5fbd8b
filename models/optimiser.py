"""Optimisers of a network: sparse updates for large embedding tables, dense updates for all other weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from models.world import World


def sparse_tables(model: nn.Module) -> list[nn.Parameter]:
    """The embedding weights with sparse gradients."""
    tables = (m for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag) and m.sparse)
    return [weight for table in tables for weight in table.parameters(recurse=False)]


class Optimisers:
    """SparseAdam for tables with sparse gradients and AdamW for other weights, with a cosine decay to a tenth.

    SparseAdam updates only the rows in the batch, and only their moments, so the cost of a step does not depend on the
    size of the table. It has no weight decay. Its two moments take twice the table's memory.

    Args:
        model: the model to train.
        learning_rate: initial learning rate of both optimisers.
        weight_decay: weight decay of AdamW.
        steps: number of steps of the cosine decay.
    """

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float, steps: int) -> None:
        tables = sparse_tables(model)
        self._sparse = {id(table) for table in tables}
        self.weights = list(model.parameters())
        rest = [weight for weight in self.weights if id(weight) not in self._sparse]
        fused = all(weight.is_cuda for weight in rest)
        self._optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=learning_rate, weight_decay=weight_decay, fused=fused)
        ]
        if tables:
            self._optimisers.append(torch.optim.SparseAdam(tables, lr=learning_rate))
        self._schedules = [
            torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=learning_rate / 10)
            for optimiser in self._optimisers
        ]

    def zero_grad(self) -> None:
        """Clears the gradients."""
        for optimiser in self._optimisers:
            optimiser.zero_grad()

    def sum_gradients(self, world: World) -> None:
        """Sums gradients over processes: dense gradients as one vector, sparse gradients by their rows."""
        dense = [weight for weight in self.weights if id(weight) not in self._sparse]
        for weight in self.weights:
            if weight.grad is None and world.size > 1:  # the sum needs a gradient of every weight from each process
                weight.grad = torch.zeros_like(weight) if id(weight) not in self._sparse else _nothing(weight)
            if weight.grad is not None and weight.grad.is_sparse:
                weight.grad = world.sum_sparse(weight.grad)
        if world.size > 1:
            parts = [weight.grad for weight in dense if weight.grad is not None]
            summed = world.sum(torch.cat([part.flatten() for part in parts]))
            for part, values in zip(parts, summed.split([part.numel() for part in parts]), strict=True):
                part.copy_(values.view_as(part))

    def step(self) -> None:
        """Updates the weights and the learning rates."""
        for optimiser, schedule in zip(self._optimisers, self._schedules, strict=True):
            optimiser.step()
            schedule.step()

    def state(self) -> list[dict[str, Any]]:
        """Everything that the next step depends on, besides the weights."""
        both = zip(self._optimisers, self._schedules, strict=True)
        return [
            {"optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()} for optimiser, schedule in both
        ]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Loads a state that :meth:`state` returned."""
        for optimiser, schedule, own in zip(self._optimisers, self._schedules, state, strict=True):
            optimiser.load_state_dict(own["optimiser"])
            schedule.load_state_dict(own["schedule"])


def clip_gradients(weights: Iterable[nn.Parameter], largest: float) -> torch.Tensor:
    """Clips the joint norm of all gradients; sparse gradients must be coalesced.

    Args:
        weights: weights with gradients.
        largest: largest norm; 0 clips nothing.

    Returns:
        The norm before clipping.
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    values = [gradient._values() if gradient.is_sparse else gradient for gradient in gradients]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(value) for value in values]))
    if largest:
        scale = (largest / (norm + 1e-6)).clamp(max=1.0)
        for value in values:
            value.mul_(scale)
    return norm


def _nothing(weight: nn.Parameter) -> torch.Tensor:
    rows = torch.zeros((1, 0), dtype=torch.int64)
    return torch.sparse_coo_tensor(rows, weight.new_zeros((0, *weight.shape[1:])), weight.shape)
