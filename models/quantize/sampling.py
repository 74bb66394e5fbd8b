"""Random batches of rows."""

from __future__ import annotations

from collections.abc import Iterator

import torch


def random_batches(n: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Endless batches of row numbers; each epoch contains every row once, in a new random order.

    Args:
        n: number of rows.
        size: rows per batch; the last batch of an epoch may be smaller.
        generator: random generator of the order.
    """
    while True:
        yield from torch.randperm(n, generator=generator).split(size)
