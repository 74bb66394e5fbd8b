"""The copy mechanism: how much a user took of each node of the tree, looked up for any nodes of any users at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.retriever.tree import CodeTree


@dataclass(frozen=True)
class TakenNodes:
    """Sums of each user's decayed events, by node of the tree.

    Attributes:
        keys: user times nodes of the level plus node, ascending, for each level.
        masses: sums by half-life of each key, for each level, each of shape (keys, half-lives).
        nodes: number of nodes at each level.
    """

    keys: tuple[Tensor, ...]
    masses: tuple[Tensor, ...]
    nodes: tuple[int, ...]

    @classmethod
    def of(cls, codes: Tensor, masses: Sequence[Tensor], tree: CodeTree) -> TakenNodes:
        """The sums of the behaviour ``taken``.

        Args:
            codes: codes that each user took, padded with -1, shape (users, length).
            masses: sums of the events of each code, by half-life, each of shape (users, length).
            tree: the tree of the codes.
        """
        users, places = torch.nonzero(codes >= 0, as_tuple=True)
        taken, stacked = codes[users, places].long(), torch.stack([mass[users, places] for mass in masses], -1).float()
        keys, sums = [], []
        for level in range(tree.levels):
            found, inverse = torch.unique(users * tree.nodes(level) + tree.node[level][taken], return_inverse=True)
            keys.append(found)
            sums.append(stacked.new_zeros(len(found), stacked.shape[1]).index_add_(0, inverse, stacked))
        return cls(tuple(keys), tuple(sums), tuple(tree.nodes(level) for level in range(tree.levels)))

    def of_nodes(self, level: int, users: Tensor, nodes: Tensor) -> Tensor:
        """What users took of nodes: ``log(1 + sum)`` by half-life, and whether it is anything.

        Args:
            level: level of the nodes, counted from 0.
            users: user of each row, shape (n,).
            nodes: node of each row, shape (n,).

        Returns:
            Shape (n, half-lives + 1).
        """
        keys, masses = self.keys[level], self.masses[level]
        if not len(keys):
            return masses.new_zeros(len(nodes), masses.shape[1] + 1)
        wanted = users * self.nodes[level] + nodes
        place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
        found = (keys[place] == wanted).float()[:, None]
        return torch.cat([masses[place].log1p() * found, found], -1)
