"""Small catalogues, histories and networks of random weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch

from models.retriever.catalogue import Catalogue
from models.retriever.histories import UserHistories, behaviours_of
from models.retriever.network.network import Retriever
from models.retriever.network.shape import RetrieverShape
from models.retriever.tree import CodeTree

DAY = 86_400
NOW = 400 * DAY
SHAPE = RetrieverShape(
    codes=[6, 5, 7],
    actions=2,
    recent_length=4,
    older_length=6,
    taken_length=5,
    half_lives=[7.0, 60.0],
    dim=16,
    heads=2,
    queries=3,
    layers=2,
    experts=4,
    active_experts=2,
    expert_width=12,
    prefix_rows=64,
    copies=True,
    contrastive=False,
    dropout=0.0,
)


def catalogue(items: int = 150, seed: int = 0) -> Catalogue:
    generator = np.random.default_rng(seed)
    sids = generator.integers(0, SHAPE.codes, size=(items, 3)).astype(np.int32)
    popularity = generator.gamma(1.0, 5.0, items).astype(np.float32)
    return Catalogue.of(pa.array([f"i{i:04d}" for i in range(items)]), sids, popularity=popularity)


def histories(users: int = 7, events: int = 60, items: int = 150, seed: int = 1) -> UserHistories:
    """The first user has no events."""
    generator = np.random.default_rng(seed)
    user = generator.integers(1, users, events)
    time = NOW - generator.integers(1, 300 * DAY, events)
    item = generator.integers(0, items, events).astype(np.int32)
    action = generator.integers(0, 2, events).astype(np.int8)
    return UserHistories.of(user, item, time, action, now=np.full(users, NOW))


def network(known: Catalogue, seed: int = 0, **changes: object) -> Retriever:
    torch.manual_seed(seed)
    shape = replace(SHAPE, **changes)
    made = Retriever(shape, CodeTree.of(known.codes, shape.prefix_rows))
    for table in (made.codes.prefixes, made.codes.prefix_bias):  # they begin with zeros
        torch.nn.init.normal_(table.weight)
    for copy in made.copies if shape.copies else ():
        torch.nn.init.normal_(copy.weight)
    return made.eval()


def batch(known: Catalogue, of: UserHistories, shape: RetrieverShape = SHAPE, targets: int = 3) -> dict:
    columns = behaviours_of(of, known.item_code, shape.histories)
    target = np.random.default_rng(2).integers(-1, len(known.codes), (of.users, targets)).astype(np.int32)
    target[:, 0] = np.maximum(target[:, 0], 0)
    return {name: torch.from_numpy(values) for name, values in {**columns, "target_code": target}.items()}
