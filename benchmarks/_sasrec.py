"""SASRec with full cross entropy (Kang and McAuley, 2018; Klenitskiy and Vasilev, 2023), a baseline of retrieval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.retriever.background import Asked, Background
from models.retriever.histories import UserHistories


@dataclass(frozen=True)
class SasRecParameters:
    """Sizes and training.

    Attributes:
        length: events of a sequence, the latest.
        dim: width.
        layers: layers of self-attention.
        dropout: share of values that are dropped in training.
        epochs: epochs; of each user one stretch of ``length`` events is drawn in each.
        batch: users in a batch.
        learning_rate: Adam's learning rate.
    """

    length: int
    dim: int = 64
    layers: int = 2
    dropout: float = 0.2
    epochs: int = 20
    batch: int = 32
    learning_rate: float = 1e-3


class SasRec(nn.Module):
    """Causal self-attention over the items of a history; the items' table is also the output."""

    def __init__(self, items: int, of: SasRecParameters) -> None:
        super().__init__()
        self.of = of
        self.items = nn.Embedding(items + 1, of.dim, padding_idx=0)
        self.places = nn.Embedding(of.length, of.dim)
        nn.init.normal_(self.items.weight, std=0.02)
        layer = nn.TransformerEncoderLayer(
            of.dim, 1, of.dim, of.dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, of.layers, nn.LayerNorm(of.dim), enable_nested_tensor=False)
        self.drop = nn.Dropout(of.dropout)

    def forward(self, rows: Tensor) -> Tensor:
        """States after every event of sequences that begin at place 0, shape (n, length, dim)."""
        n = rows.shape[1]
        states = self.drop(self.items(rows) * self.of.dim**0.5 + self.places.weight[:n])
        ahead = torch.triu(torch.ones(n, n, dtype=torch.bool), 1)  # padding is behind, so no mask is needed for it
        return self.layers(states, mask=ahead, is_causal=True)

    def logits(self, states: Tensor) -> Tensor:
        """Scores of all items, shape (…, items)."""
        return states @ self.items.weight[1:].T


def _stretches(
    of: UserHistories, users: NDArray[np.int64], length: int, draw: np.random.Generator | None
) -> NDArray[np.int64]:
    """Rows of the items' table (0 for none) of one stretch of each user: drawn, or the last one."""
    sizes = np.diff(of.offsets)[users]
    spare = np.maximum(sizes - length, 0)
    start = of.offsets[users] + (spare if draw is None else (draw.random(len(users)) * (spare + 1)).astype(np.int64))
    place = np.arange(length)
    valid = place < np.minimum(sizes, length)[:, None]
    at = np.where(valid, start[:, None] + place, 0)
    return np.where(valid, of.item[at].astype(np.int64) + 1, 0)


def _batches(of: UserHistories, parameters: SasRecParameters, draw: np.random.Generator) -> Iterator[Tensor]:
    users = draw.permutation(np.flatnonzero(np.diff(of.offsets) > 1))
    for start in range(0, len(users), parameters.batch):
        yield torch.from_numpy(_stretches(of, users[start : start + parameters.batch], parameters.length + 1, draw))


def train_sasrec(known: Background, parameters: SasRecParameters, seed: int) -> SasRec:
    """Trains from scratch on all histories, each position against the next, softmax over the whole catalogue."""
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    model = SasRec(known.items, parameters).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=parameters.learning_rate)
    for _ in range(parameters.epochs):
        for rows in _batches(known.histories, parameters, draw):
            states, target = model(rows[:, :-1]), rows[:, 1:]
            there = target > 0
            loss = functional.cross_entropy(model.logits(states[there]), target[there] - 1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval()


@torch.inference_mode()
def sasrec_scores(model: SasRec, asked: Asked) -> NDArray[np.float32]:
    """Probabilities of all items as the next one, shape (users, items); 0 for a user without history."""
    users = np.arange(len(asked.itself))
    rows = torch.from_numpy(_stretches(asked.histories, users, model.of.length, None))
    sizes = (rows > 0).sum(1)
    states = model(rows)[torch.arange(len(rows)), (sizes - 1).clamp(min=0)]
    chances = torch.softmax(model.logits(states), 1) * (sizes > 0)[:, None]
    return chances.numpy()
