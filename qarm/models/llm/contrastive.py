"""The contrastive loss over item pairs (QARM V2 and V1: in batch), and large batches of it in small memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class PairBatch:
    """Pairs of contents by the places of their embeddings; contents are distinct, so each is encoded once.

    Attributes:
        trigger: of every pair its trigger's place, shape (pairs,).
        target: of every pair its target's place, shape (pairs,).
        known: whether two contents are an accepted pair, either way round, shape (contents, contents).
        log_frequency: logarithm of how often a content is drawn into a batch, shape (contents,).
    """

    trigger: torch.Tensor
    target: torch.Tensor
    known: torch.Tensor
    log_frequency: torch.Tensor


def contrastive_loss(
    embeddings: torch.Tensor, pairs: PairBatch, log_temperature: torch.Tensor, correction: float
) -> torch.Tensor:
    """Cross entropy of each pair's partner among all contents of the batch, both ways round.

    An anchor's own content and its other accepted partners are no negatives.

    Args:
        embeddings: of L2 norm 1, shape (contents, d).
        pairs: which belong together.
        log_temperature: logarithm of the temperature, a scalar.
        correction: times ``log_frequency`` that is taken off a candidate's logit; 0 lets popular contents be what they
            are among the negatives, 1 is the full correction of sampled softmax.

    Returns:
        Mean over pairs and directions, a scalar.
    """
    anchor = torch.cat([pairs.trigger, pairs.target])
    partner = torch.cat([pairs.target, pairs.trigger])
    logits = embeddings[anchor] @ embeddings.T / log_temperature.exp() - correction * pairs.log_frequency
    excluded = pairs.known[anchor].clone()
    rows = torch.arange(len(anchor), device=anchor.device)
    excluded[rows, anchor] = True
    excluded[rows, partner] = False
    return nn.functional.cross_entropy(logits.masked_fill(excluded, -torch.inf), partner)


def gradients_of(
    loss: Callable[[torch.Tensor], torch.Tensor], embeddings: torch.Tensor, others: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]:
    """The loss of embeddings made without a graph, and what to send back into the encoder for them.

    Gradient caching (Gao et al., arXiv 2101.06983): embeddings are made in chunks without a graph, the loss is taken
    over all of them, and each chunk is made again with a graph and its cached gradient sent through it. Memory is that
    of one chunk; the result is that of the whole batch.

    Args:
        loss: of the embeddings.
        embeddings: shape (contents, d).
        others: further tensors that the loss depends on.

    Returns:
        The loss, its gradient by the embeddings, its gradients by ``others``.
    """
    leaves = embeddings.detach().requires_grad_()
    value = loss(leaves)
    gradients = torch.autograd.grad(value, [leaves, *others])
    return value.detach(), gradients[0], gradients[1:]
