"""The head of a multi-task ranker: a shared network, or a mixture of experts (MMoE, PLE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

Kind = Literal["shared", "mmoe", "ple"]


class Heads(nn.Module):
    """Computes one logit per task.

    ``shared``: one network for all tasks. ``mmoe``: experts that each task mixes by its own gate (Ma et al., KDD 2018).
    ``ple``: every task also has its own experts, and its gate mixes them with the shared ones (Tang et al., RecSys
    2020, one level: CGC).

    Args:
        inputs: width of the input.
        hidden: widths of the layers; if there are several, the last layer is a separate tower per task, and the others
            form an expert.
        tasks: number of tasks.
        kind: kind of mixture.
        experts: number of shared experts, and with ``ple`` also of each task's own experts; ignored for ``shared``.
        dropout: dropout rate after every layer.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], tasks: int, kind: Kind, *, experts: int, dropout: float
    ) -> None:
        super().__init__()
        body, tower = (hidden[:-1], hidden[-1:]) if len(hidden) > 1 else (hidden, ())
        shared = 1 if kind == "shared" else experts
        self.own_each = own = experts if kind == "ple" else 0
        self.shared = nn.ModuleList(layers(inputs, body, dropout) for _ in range(shared))
        self.own = nn.ModuleList(layers(inputs, body, dropout) for _ in range(own * tasks))
        self.gates = nn.ModuleList(nn.Linear(inputs, shared + own) for _ in range(tasks if kind != "shared" else 0))
        width = body[-1]
        self.towers = nn.ModuleList(
            nn.Sequential(layers(width, tower, dropout), nn.Linear(tower[-1] if tower else width, 1))
            for _ in range(tasks)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Computes the logits.

        Args:
            features: shape (batch, inputs).

        Returns:
            Shape (batch, tasks).
        """
        shared = [expert(features) for expert in self.shared]
        logits = []
        for number, tower in enumerate(self.towers):
            own = self.own[number * self.own_each : (number + 1) * self.own_each]
            outputs = torch.stack([*shared, *(expert(features) for expert in own)], dim=1)
            if len(self.gates):
                weights = self.gates[number](features).softmax(-1)
                mixed = (weights[..., None] * outputs).sum(1)
            else:
                mixed = outputs[:, 0]
            logits.append(tower(mixed))
        return torch.cat(logits, dim=-1)


def layers(inputs: int, widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers with ReLU and dropout.

    Args:
        inputs: width of the input.
        widths: widths of the layers; an empty sequence gives the identity.
        dropout: dropout rate after every layer.
    """
    steps: list[nn.Module] = []
    for width in widths:
        steps += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
        inputs = width
    return nn.Sequential(*steps)
