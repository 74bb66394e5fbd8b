"""Crosses: the number of leading semantic-ID codes that a target and an event share."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from schemas.names import SID_COLUMNS

LEVELS = len(SID_COLUMNS)


def shared_levels(target: Sequence[torch.Tensor], events: Sequence[torch.Tensor]) -> torch.Tensor:
    """Number of leading codes that each event shares with the target, 0 to 3 (QARM V1's target-aware crosses).

    Args:
        target: the targets' codes of each level, 0 for none, each of shape (batch,).
        events: the events' codes of each level, 0 for none, each of shape (batch, length).

    Returns:
        Shape (batch, length).
    """
    same = torch.stack([(a[:, None] == b) & (b > 0) for a, b in zip(target, events, strict=True)])
    return same.long().cumprod(0).sum(0)
