"""Learned searches of baselines, which run inside the ranker over a long history: SIM's soft search, TWIN and ETA.

QARM V2's own search is not learned and runs before training, when the examples are built.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from models.ranker.network.attention import Marks, TargetAttention

LearnedSearch = Literal["soft", "twin", "eta"]
HASH_BITS = 64


class SoftSearch(nn.Module):
    """SIM's soft search: inner products of learned projections (Pi et al., CIKM 2020, section 3.2).

    An auxiliary loss trains it: the sum of the long history's events, weighted by the inner products, must predict the
    labels together with the target.

    Args:
        width: width of target and events.
        tasks: number of tasks.
    """

    def __init__(self, width: int, tasks: int) -> None:
        super().__init__()
        self.target = nn.Linear(width, width, bias=False)
        self.event = nn.Linear(width, width, bias=False)
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, tasks))

    def relevance(self, target: torch.Tensor, events: torch.Tensor) -> torch.Tensor:
        """Relevance of every event for the target, shape (batch, length).

        Args:
            target: shape (batch, width).
            events: shape (batch, length, width).
        """
        # (events W_b^T) (W_a target) = events (W_b^T W_a target), so the many events need no projection
        query = self.target(target) @ self.event.weight
        return (events @ query[..., None]).squeeze(-1) / events.shape[-1] ** 0.5

    def logits(self, target: torch.Tensor, events: torch.Tensor, relevance: torch.Tensor) -> torch.Tensor:
        """Logits of the auxiliary loss, shape (batch, tasks).

        Args:
            target: shape (batch, width).
            events: padding is all zeros, shape (batch, length, width).
            relevance: result of :meth:`relevance`, 0 for padding, shape (batch, length).
        """
        seen = (relevance[:, None] @ events).squeeze(1)
        return self.head(torch.cat([seen, target], dim=-1))


class HashSearch(nn.Module):
    """ETA's search: Hamming distance of SimHash fingerprints from random hyperplanes (Chen et al., 2021).

    Args:
        width: width of target and events.
    """

    planes: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("planes", torch.randn(width, HASH_BITS))

    def relevance(self, target: torch.Tensor, events: torch.Tensor) -> torch.Tensor:
        """Number of equal bits minus number of different bits, ties broken in favour of the first event.

        Arguments and shape are those of :meth:`SoftSearch.relevance`.
        """
        mine, theirs = (torch.where(side @ self.planes > 0, 1.0, -1.0) for side in (target, events))
        length = events.shape[1]
        return (theirs @ mine[..., None]).squeeze(-1) - torch.arange(length, device=events.device) / length


def attention_relevance(
    attention: TargetAttention, target: torch.Tensor, events: torch.Tensor, marks: Marks = ()
) -> torch.Tensor:
    """TWIN's relevance: the attention's logits, mean over heads (Chang et al., KDD 2023); shape (batch, length)."""
    return attention.logits(target, events, marks).mean(1)


def most_relevant(relevance: torch.Tensor, there: torch.Tensor, k: int) -> torch.Tensor:
    """Positions of the k most relevant events, shape (batch, k); padding comes last.

    Args:
        relevance: shape (batch, length).
        there: False for padding, shape (batch, length).
        k: number of events, at most the length.
    """
    return relevance.masked_fill(~there, float("-inf")).topk(k, dim=-1).indices
