"""The tree of the codes: a compressed trie in sorted arrays; whatever is chosen from it is a code that exists.

Node ``i`` of depth ``d`` is the ``i``-th distinct prefix of ``d`` codes in sorted order. The children of a node are
then consecutive nodes of the next depth, and the nodes of the last depth are the codes themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ROUND = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True)
class CodeTree:
    """The tree, with one tensor for each depth, from 1 to the number of levels.

    Attributes:
        token: code of the last level of each node's prefix, each of shape (nodes,).
        row: row of each node in a table of hashed prefixes, each of shape (nodes,).
        children: start of the children of each node of the depth before, and at the end their number; the first is that
            of the root, of shape (2,), the others of shape (nodes of the depth before + 1,).
        node: node of each code at each depth, each of shape (codes,).
    """

    token: tuple[Tensor, ...]
    row: tuple[Tensor, ...]
    children: tuple[Tensor, ...]
    node: tuple[Tensor, ...]

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.token)

    @property
    def codes(self) -> int:
        """Number of codes."""
        return len(self.node[0])

    def nodes(self, level: int) -> int:
        """Number of nodes at a level, counted from 0."""
        return len(self.token[level])

    @classmethod
    def of(cls, codes: NDArray[np.int32], rows: int) -> CodeTree:
        """The tree of a sorted table of distinct codes.

        Args:
            codes: shape (codes, levels).
            rows: rows of the table of hashed prefixes.
        """
        token, row, children, node = [], [], [], []
        before, hashed = np.zeros(len(codes), np.int64), np.zeros(len(codes), np.uint64)
        changed = np.zeros(len(codes), bool)
        changed[:1] = True
        for level in range(codes.shape[1]):
            own = codes[:, level]
            changed[1:] |= own[1:] != own[:-1]
            starts = np.flatnonzero(changed)
            here = np.cumsum(changed) - 1
            parents = before[starts]
            count = int(before[-1]) + 1 if len(codes) else 1
            children.append(np.searchsorted(parents, np.arange(count + 1)))
            hashed = _hashed(hashed, own)
            token.append(own[starts].astype(np.int64))
            row.append((hashed[starts] % np.uint64(rows)).astype(np.int64))
            node.append(here)
            before = here
        return cls(*(tuple(map(_tensor, values)) for values in (token, row, children, node)))

    def to(self, device: torch.device) -> CodeTree:
        """The tree on a device."""
        return CodeTree(*(tuple(part.to(device) for part in parts) for parts in vars(self).values()))


def _tensor(values: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.int64))


def _hashed(before: NDArray[np.uint64], codes: NDArray[np.int32]) -> NDArray[np.uint64]:
    """A hash of each prefix and one more code; it depends on no other code, so it stays from night to night."""
    with np.errstate(over="ignore"):
        mixed = (before + codes.astype(np.uint64) + _ROUND) * _MIX
        mixed ^= mixed >> np.uint64(29)
        mixed *= _ROUND
        return mixed ^ (mixed >> np.uint64(32))
