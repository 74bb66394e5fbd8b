"""Searches inside the ranker, over a long history that comes with the example: SIM's soft search, TWIN, ETA.

They are what QARM V2's search, which needs no training and is done before, is compared with.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from models.ranker.network.attention import Marks, TargetAttention

LearnedSearch = Literal["soft", "twin", "eta"]
HASH_BITS = 64


class SoftSearch(nn.Module):
    """Inner product of learned projections (SIM, Pi et al., CIKM 2020, section 3.2).

    It is trained by a loss of its own: the products weigh the events of the long history, and their sum beside the
    target has to predict the labels.

    Args:
        width: of target and events.
        tasks: outputs.
    """

    def __init__(self, width: int, tasks: int) -> None:
        super().__init__()
        self.target = nn.Linear(width, width, bias=False)
        self.event = nn.Linear(width, width, bias=False)
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, tasks))

    def relevance(self, target: torch.Tensor, events: torch.Tensor) -> torch.Tensor:
        """How much every event matters, shape (batch, length).

        Args:
            target: shape (batch, width).
            events: shape (batch, length, width).
        """
        # (events W_b^T) (W_a target) = events (W_b^T W_a target): the long side is never projected
        query = self.target(target) @ self.event.weight
        return (events @ query[..., None]).squeeze(-1) / events.shape[-1] ** 0.5

    def logits(self, target: torch.Tensor, events: torch.Tensor, relevance: torch.Tensor) -> torch.Tensor:
        """What the search alone predicts, shape (batch, tasks).

        Args:
            target: shape (batch, width).
            events: padding is all zeros, shape (batch, length, width).
            relevance: of :meth:`relevance`, 0 for padding, shape (batch, length).
        """
        seen = (relevance[:, None] @ events).squeeze(1)
        return self.head(torch.cat([seen, target], dim=-1))


class HashSearch(nn.Module):
    """Equal signs on random hyperplanes (ETA, Chen et al., 2021): Hamming distance of SimHash fingerprints.

    Args:
        width: of target and events.
    """

    planes: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("planes", torch.randn(width, HASH_BITS))

    def relevance(self, target: torch.Tensor, events: torch.Tensor) -> torch.Tensor:
        """Equal bits less different ones, of equal events the first; see :meth:`SoftSearch.relevance`."""
        mine, theirs = (torch.where(side @ self.planes > 0, 1.0, -1.0) for side in (target, events))
        length = events.shape[1]
        return (theirs @ mine[..., None]).squeeze(-1) - torch.arange(length, device=events.device) / length


def attention_relevance(
    attention: TargetAttention, target: torch.Tensor, events: torch.Tensor, marks: Marks = ()
) -> torch.Tensor:
    """TWIN's: the exact attention's own logits, mean of its heads (Chang et al., KDD 2023); shape (batch, length)."""
    return attention.logits(target, events, marks).mean(1)


def most_relevant(relevance: torch.Tensor, there: torch.Tensor, k: int) -> torch.Tensor:
    """Places of the k most relevant real events, shape (batch, k); padding comes last.

    Args:
        relevance: shape (batch, length).
        there: False for padding, shape (batch, length).
        k: at most the length.
    """
    return relevance.masked_fill(~there, float("-inf")).topk(k, dim=-1).indices
