"""Batches of rows in random order."""

from __future__ import annotations

from collections.abc import Iterator

import torch


def random_batches(n: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Positions of rows, every row once before any comes again, without end.

    Args:
        n: rows.
        size: rows a batch; the last one of a pass may be smaller.
        generator: of the order.
    """
    while True:
        yield from torch.randperm(n, generator=generator).split(size)
