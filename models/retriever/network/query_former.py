"""The Query-Former: a few learned queries read a long behaviour (OneMall, arXiv 2601.21770).

The queries of the first layer are constant, so their products with the keys' weights are too, as
``q (W_k x) = (W_k' q) x``. The events are multiplied with these folded queries, and need neither keys nor values of
their own; the values' weights are applied to the few sums instead. For L events, d dimensions, h heads and q queries
that is ``2 L d h q`` multiplications in place of ``2 L d (d + q)``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class QueryFormer(nn.Module):
    """Compresses the events of one behaviour to a few vectors.

    Args:
        dim: width of the events and of the result.
        heads: attention heads.
        queries: number of queries.
        dropout: dropout rate.
    """

    def __init__(self, dim: int, heads: int, queries: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Parameter(torch.randn(queries, dim))
        self.to_query, self.to_key = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.to_value, self.out = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.feed = nn.Sequential(nn.Linear(dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, dim))

    def forward(self, events: Tensor, valid: Tensor) -> Tensor:
        """The compressed behaviour.

        Args:
            events: shape (users, length, dim).
            valid: which events are no padding, shape (users, length).

        Returns:
            Shape (users, queries, dim).
        """
        return self._read(self._folded(events, valid))

    def unfolded(self, events: Tensor, valid: Tensor) -> Tensor:
        """The same as :meth:`forward`, by keys and values of all events; tests compare both."""
        keys, values = (self._split(layer(events)) for layer in (self.to_key, self.to_value))
        query = self._split(self.to_query(self.queries)[None])
        shares = _shares(query @ keys.transpose(-1, -2) * keys.shape[-1] ** -0.5, valid)
        return self._read((shares @ values).transpose(1, 2).flatten(2))

    def _split(self, vectors: Tensor) -> Tensor:
        """Shape (users, n, dim) to (users, heads, n, dim of a head)."""
        return vectors.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _folded(self, events: Tensor, valid: Tensor) -> Tensor:
        """What the heads read, shape (users, queries, dim)."""
        query = self._split(self.to_query(self.queries)[None])[0]  # (heads, queries, of head)
        key = self.to_key.weight.unflatten(0, (self.heads, -1))  # (heads, of head, dim)
        folded = (query @ key) * query.shape[-1] ** -0.5  # (heads, queries, dim)
        logits = events @ folded.flatten(0, 1).T  # (users, length, heads * queries)
        shares = _shares(logits.transpose(1, 2), valid, heads=False)
        sums = (shares @ events).unflatten(1, (self.heads, -1))  # (users, heads, queries, dim)
        value = self.to_value.weight.unflatten(0, (self.heads, -1))  # (heads, of head, dim)
        return (sums @ value.transpose(-1, -2)).transpose(1, 2).flatten(2)

    def _read(self, heads: Tensor) -> Tensor:
        found = self.queries + self.dropout(self.out(heads))
        return found + self.dropout(self.feed(self.norm(found)))


def _shares(logits: Tensor, valid: Tensor, heads: bool = True) -> Tensor:
    """Softmax over the valid events; all zeros for a user without events."""
    mask = valid[:, None, None] if heads else valid[:, None]
    shares = functional.softmax(logits.float().masked_fill(~mask, torch.finfo(torch.float32).min), dim=-1)
    return (shares * mask).to(logits.dtype)
