"""Vectors of codes, of nodes of the tree, and of a behaviour's events."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.retriever.network.shape import RetrieverShape
from models.retriever.tree import CodeTree

AGES, COUNTS = 64, 16
"""Rows of the tables of ages and counts; a row is about a fifth longer than the row before, or 1.4 times the count."""


class CodeVectors(nn.Module):
    """Vectors of nodes and codes: a table for each level, and a hashed table for prefixes of two codes and more.

    The tables of the levels are shared by all codes with the same token, so that a new code has a vector. The table of
    prefixes, which begins with zeros, tells apart what the tokens cannot.

    Args:
        shape: shape of the network.
    """

    def __init__(self, shape: RetrieverShape) -> None:
        super().__init__()
        tables = [nn.Embedding(size, shape.dim) for size in shape.codes]
        for table in tables:
            nn.init.normal_(table.weight, std=shape.dim**-0.5)
        self.tokens = nn.ModuleList(tables)
        self.prefixes = nn.Embedding(shape.prefix_rows, shape.dim, sparse=True)
        self.prefix_bias = nn.Embedding(shape.prefix_rows, 1, sparse=True)
        self.token_bias = nn.Parameter(torch.zeros(shape.codes[0]))
        nn.init.zeros_(self.prefixes.weight)
        nn.init.zeros_(self.prefix_bias.weight)

    def of_nodes(self, tree: CodeTree, level: int, nodes: Tensor) -> Tensor:
        """Vectors of nodes, shape (…) to (…, dim)."""
        vectors: Tensor = self.tokens[level](tree.token[level][nodes])
        return vectors if level == 0 else vectors + self.prefixes(tree.row[level][nodes])

    def bias_of(self, tree: CodeTree, level: int, nodes: Tensor) -> Tensor:
        """What is added to the nodes' logits, shape (…)."""
        if level == 0:
            return self.token_bias[tree.token[0][nodes]]
        return self.prefix_bias(tree.row[level][nodes])[..., 0]

    def of_codes(self, tree: CodeTree, codes: Tensor) -> Tensor:
        """Vectors of codes: the sum over their nodes, shape (…) to (…, dim); a code that comes twice is summed once."""
        distinct, inverse = torch.unique(codes, return_inverse=True)
        parts = [self.of_nodes(tree, level, tree.node[level][distinct]) for level in range(tree.levels)]
        return torch.stack(parts).sum(0)[inverse]


class EventVectors(nn.Module):
    """Vectors of a behaviour's events: the code, how long ago, how often by then, and which action.

    Args:
        shape: shape of the network.
    """

    def __init__(self, shape: RetrieverShape) -> None:
        super().__init__()
        self.ages, self.counts = nn.Embedding(AGES, shape.dim), nn.Embedding(COUNTS, shape.dim)
        self.actions = nn.Embedding(shape.actions, shape.dim)
        for table in (self.ages, self.counts, self.actions):
            nn.init.normal_(table.weight, std=0.5 * shape.dim**-0.5)
        self.norm = nn.LayerNorm(shape.dim)

    def forward(
        self, codes_of: CodeVectors, tree: CodeTree, behaviour: str, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Vectors of a behaviour's events.

        Args:
            codes_of: vectors of codes.
            tree: the tree of the codes.
            behaviour: name of the behaviour.
            batch: its columns.

        Returns:
            Shape (users, length, dim), and which events are no padding, shape (users, length).
        """
        codes, age, count, action = (batch[f"{behaviour}_{field}"] for field in ("code", "age", "count", "action"))
        valid = codes >= 0
        old = (4 * torch.log2(1 + 8 * age.clamp(min=0))).long().clamp(max=AGES - 1)
        often = (2 * torch.log2(count.clamp(min=1).float())).long().clamp(max=COUNTS - 1)
        vectors = codes_of.of_codes(tree, codes.clamp(min=0).long())
        return self.norm(vectors + self.ages(old) + self.counts(often) + self.actions(action.long())), valid
