"""The contrastive loss over item pairs (QARM V2 and V1: in batch), and large batches of it in small memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class BatchPairs:
    """How the distinct contents of a batch belong together.

    Attributes:
        known: whether two contents are an accepted pair, symmetric, shape (contents, contents).
        log_frequency: logarithm of how often a content is drawn into a batch, shape (contents,).
    """

    known: torch.Tensor
    log_frequency: torch.Tensor


def contrastive_loss(
    vectors: torch.Tensor, pairs: BatchPairs, log_temperature: torch.Tensor, correction: float
) -> torch.Tensor:
    """Cross entropy of each pair's partner among the contents of the batch, both ways round.

    Every known pair within the batch counts. The anchor itself and its other partners are no negatives of it.

    Args:
        vectors: of L2 norm 1, shape (contents, d).
        pairs: which belong together.
        log_temperature: logarithm of the temperature, a scalar.
        correction: times ``log_frequency`` that is taken off a candidate's logit; 0 trains the score of a pair against
            what its popularity explains, 1 (sampled softmax with full correction) the probability of the partner.

    Returns:
        Mean over pairs and directions, a scalar; 0 where the batch holds no pair.
    """
    logits = vectors @ vectors.T / log_temperature.exp() - correction * pairs.log_frequency
    other = pairs.known | torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    negatives = logits.masked_fill(other, -torch.inf).logsumexp(1, keepdim=True)
    surprise = torch.logaddexp(negatives, logits) - logits
    return surprise[pairs.known].sum() / pairs.known.sum().clamp_min(1)


def gradients_of(
    loss: Callable[[torch.Tensor], torch.Tensor], vectors: torch.Tensor, others: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]:
    """The loss of vectors, and what to send back into the encoder for them.

    Gradient caching (Gao et al., arXiv 2101.06983): vectors are made in chunks without a graph, the loss is taken over
    all of them, and each chunk is made again with a graph and its cached gradient sent through it. Memory is that of
    one chunk; the result is that of the whole batch.

    Args:
        loss: of the vectors.
        vectors: shape (contents, d).
        others: further tensors that the loss depends on.

    Returns:
        The loss, its gradient by the vectors, its gradients by ``others``.
    """
    leaves = vectors.detach().requires_grad_()
    value = loss(leaves)
    gradients = torch.autograd.grad(value, [leaves, *others])
    return value.detach(), gradients[0], gradients[1:]
