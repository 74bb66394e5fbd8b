"""The decoder's layers: causal self-attention over the codes so far, cross attention over the behaviours, experts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.retriever.network.mixture import Dense, Mixture
from models.retriever.network.shape import RetrieverShape


@dataclass(frozen=True)
class Seen:
    """Keys and values that a layer attends to.

    Those of tokens are each of shape (users, groups or 1, heads, length, dim of a head), those of the behaviours, which
    all groups of a user share, of shape (users, heads, length, dim of a head).
    """

    keys: Tensor
    values: Tensor


class DecoderLayer(nn.Module):
    """One layer of the decoder, over groups of tokens: a group is one target in training, one beam in decoding.

    Args:
        shape: shape of the network.
    """

    def __init__(self, shape: RetrieverShape) -> None:
        super().__init__()
        dim = shape.dim
        self.heads = shape.heads
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.own, self.own_out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.query, self.memory, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.dropout = nn.Dropout(shape.dropout)
        width = shape.expert_width
        if shape.experts > 1:
            self.feed: nn.Module = Mixture(dim, width, shape.experts, shape.active_experts)
        else:
            self.feed = Dense(dim, width * shape.active_experts)

    def remember(self, memory: Tensor) -> Seen:
        """Keys and values of the behaviours, shape (users, length, dim); they are made once for all positions."""
        keys, values = self.memory(memory).chunk(2, -1)
        return Seen(self._split(keys), self._split(values))

    def forward(self, tokens: Tensor, memory: Seen, valid: Tensor, past: Seen | None) -> tuple[Tensor, Seen]:
        """The tokens after this layer, and the keys and values of all tokens so far.

        Args:
            tokens: shape (users, groups, length, dim).
            memory: the behaviours' keys and values.
            valid: which of the behaviours' vectors are no padding, shape (users, 1, 1, length of the memory).
            past: keys and values of the tokens before; of one group if all groups share them.
        """
        users, groups, length, dim = tokens.shape
        query, keys, values = (self._split(part) for part in self.own(self.norms[0](tokens)).chunk(3, -1))
        before = 0
        if past is not None:
            before = past.keys.shape[-2]
            shared = (past.keys, past.values)
            earlier = [part.expand(users, groups, *part.shape[2:]) for part in shared]
            keys, values = torch.cat([earlier[0], keys], -2), torch.cat([earlier[1], values], -2)
        causal = torch.ones(length, before + length, dtype=torch.bool, device=tokens.device).tril(before)
        tokens = tokens + self.dropout(self.own_out(self._joined(_attend(query, keys, values, causal))))
        # All groups of a user read the same behaviours, so they are one long row of queries.
        query = self.query(self.norms[1](tokens)).flatten(1, 2)
        read = self._joined(_attend(self._split(query), memory.keys, memory.values, valid))
        tokens = tokens + self.dropout(self.out(read)).view(users, groups, length, dim)
        fed = self.feed(self.norms[2](tokens).flatten(0, 2)).view_as(tokens)
        return tokens + self.dropout(fed), Seen(keys, values)

    def _split(self, vectors: Tensor) -> Tensor:
        """Shape (…, length, dim) to (…, heads, length, dim of a head)."""
        return vectors.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    @staticmethod
    def _joined(vectors: Tensor) -> Tensor:
        return vectors.transpose(-2, -3).flatten(-2)


def _attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
