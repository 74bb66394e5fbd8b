"""Tasks that follow one another, trained over the entire space (ESMM, Ma et al., SIGIR 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn.functional import logsigmoid


def log_probabilities(
    logits: torch.Tensor, tasks: Sequence[str], follows: Mapping[str, str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of every task over all examples, and that of its opposite.

    A task that follows another has ``p(task) = p(other) p(task | other)``; its own logit is that of the second factor.
    So the conversion after a click (CVR) is learned from all impressions, through click and conversion (CTCVR).

    Args:
        logits: shape (batch, tasks).
        tasks: their names.
        follows: the task that a task comes after; chains must end.

    Returns:
        ``log p`` and ``log(1 - p)``, each of shape (batch, tasks).
    """
    number = {task: place for place, task in enumerate(tasks)}
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def of(task: str) -> tuple[torch.Tensor, torch.Tensor]:
        if task not in found:
            own = logits[:, number[task]]
            yes, no = logsigmoid(own), logsigmoid(-own)
            if task in follows:
                yes_before, no_before = of(follows[task])
                # 1 - ab = (1 - a) + a(1 - b): neither logarithm loses its precision near 1
                yes, no = yes_before + yes, torch.logaddexp(no_before, yes_before + no)
            found[task] = (yes, no)
        return found[task]

    both = [of(task) for task in tasks]
    return torch.stack([yes for yes, _ in both], dim=-1), torch.stack([no for _, no in both], dim=-1)
