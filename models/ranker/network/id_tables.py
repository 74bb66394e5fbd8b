"""Embedding tables of ids: small tables have dense gradients, large tables sparse gradients."""

from __future__ import annotations

from torch import nn

SPARSE_ROWS = 65_536
"""Smallest table with sparse gradients. For smaller tables, updating all rows costs less than sorting the batch's rows
(docs/benchmarks.md)."""


def id_table(rows: int, width: int) -> nn.Embedding:
    """An embedding table of ids; row 0 is padding.

    Args:
        rows: number of rows, padding included.
        width: width of a row.
    """
    table = nn.Embedding(rows, width, padding_idx=0, sparse=rows >= SPARSE_ROWS)
    nn.init.normal_(table.weight, std=0.05)
    nn.init.zeros_(table.weight[0])
    return table
