"""The in-batch contrastive loss over item pairs (QARM V1 and V2), and gradient caching for large batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class BatchPairs:
    """The accepted pairs among the distinct contents of a batch.

    Attributes:
        known: whether two contents form an accepted pair, symmetric, shape (contents, contents).
        log_frequency: logarithm of how often a content is drawn into a batch, shape (contents,).
    """

    known: torch.Tensor
    log_frequency: torch.Tensor


def contrastive_loss(
    vectors: torch.Tensor, pairs: BatchPairs, log_temperature: torch.Tensor, correction: float
) -> torch.Tensor:
    """Cross entropy of each pair's partner against the other contents of the batch, in both directions.

    Every accepted pair within the batch counts. An anchor's negatives exclude the anchor and all its partners.

    Args:
        vectors: unit vectors, shape (contents, d).
        pairs: the accepted pairs and the contents' frequencies.
        log_temperature: logarithm of the temperature, a scalar.
        correction: factor of ``log_frequency``, which is subtracted from a candidate's logit. At 1 (full correction of
            a sampled softmax) the scores learn the partner's probability; at 0 they learn the association of a pair
            beyond the popularity of its items.

    Returns:
        Mean over pairs and directions, a scalar; 0 if the batch holds no pair.
    """
    logits = vectors @ vectors.T / log_temperature.exp() - correction * pairs.log_frequency
    other = pairs.known | torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    negatives = logits.masked_fill(other, -torch.inf).logsumexp(1, keepdim=True)
    surprise = torch.logaddexp(negatives, logits) - logits
    return surprise[pairs.known].sum() / pairs.known.sum().clamp_min(1)


def gradients_of(
    loss: Callable[[torch.Tensor], torch.Tensor], vectors: torch.Tensor, others: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]:
    """The loss of some vectors, and its gradients to propagate back through their encoder.

    This is the middle step of gradient caching (Gao et al., arXiv 2101.06983): the vectors are computed in chunks
    without a graph; the loss is computed over all of them; then each chunk is computed again with a graph, and its
    cached gradient is propagated through it. The result is that of the whole batch, with the memory of one chunk.

    Args:
        loss: computes the loss from the vectors.
        vectors: shape (contents, d).
        others: further tensors that the loss depends on.

    Returns:
        The loss, its gradient with respect to the vectors, and its gradients with respect to ``others``.
    """
    leaves = vectors.detach().requires_grad_()
    value = loss(leaves)
    gradients = torch.autograd.grad(value, [leaves, *others])
    return value.detach(), gradients[0], gradients[1:]
