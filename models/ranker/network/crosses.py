"""What target and event have in common, beside what attention learns: their leading codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from schemas.names import SID_COLUMNS

LEVELS = len(SID_COLUMNS)


def shared_levels(target: Sequence[torch.Tensor], events: Sequence[torch.Tensor]) -> torch.Tensor:
    """How many leading codes an event shares with the target, 0 to 3 (QARM V1's target-aware crosses).

    Args:
        target: a code a level, 0 where there is none, each of shape (batch,).
        events: the same of the events, each of shape (batch, length).

    Returns:
        Shape (batch, length).
    """
    same = torch.stack([(a[:, None] == b) & (b > 0) for a, b in zip(target, events, strict=True)])
    return same.long().cumprod(0).sum(0)
