"""Tables of ids: dense gradients for small ones, sparse gradients for large ones."""

from __future__ import annotations

from torch import nn

SPARSE_ROWS = 65_536
"""From so many rows on gradients are sparse: below, touching every row costs less than sorting those of the batch
(docs/benchmarks.md)."""


def id_table(rows: int, width: int) -> nn.Embedding:
    """A table of ids whose row 0 is padding.

    Args:
        rows: padding included.
        width: of a row.
    """
    table = nn.Embedding(rows, width, padding_idx=0, sparse=rows >= SPARSE_ROWS)
    nn.init.normal_(table.weight, std=0.05)
    nn.init.zeros_(table.weight[0])
    return table
