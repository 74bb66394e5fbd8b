"""What target and history have in common, beside what attention learns: shared codes, similarities by their size."""

from __future__ import annotations

from collections.abc import Sequence

import torch

LEVELS = 3
BINS = 16
_EDGES = torch.cat([torch.linspace(0.0, 0.95, BINS - 3), torch.tensor([0.98, 0.999])])


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


def shared_counts(shared: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Logarithm of 1 + the number of events that share at least 1, 2 and 3 codes, shape (batch, 3).

    Args:
        shared: of :func:`shared_levels`.
        there: False for padding, shape (batch, length).
    """
    least = torch.arange(1, LEVELS + 1, device=shared.device)
    return ((shared[..., None] >= least) & there[..., None]).sum(1).float().log1p()


def histogram(scores: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Logarithm of 1 + the number of events in each range of similarity (MUSE, SimTier), shape (batch, 16).

    Args:
        scores: similarity of every event to the target, shape (batch, length).
        there: False for padding, shape (batch, length).
    """
    bins = torch.bucketize(scores, _EDGES.to(scores.device), right=True)
    counts = torch.zeros((len(scores), BINS), device=scores.device)
    return counts.scatter_add_(1, bins, there.float()).log1p()
