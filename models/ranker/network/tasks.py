"""Tasks that follow another task, trained over all examples (entire space; ESMM, Ma et al., SIGIR 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn.functional import logsigmoid


def log_probabilities(
    logits: torch.Tensor, tasks: Sequence[str], follows: Mapping[str, str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities that every task is positive and negative, over all examples.

    A task that follows another has ``p(task) = p(other) p(task | other)``; its logit is that of ``p(task | other)``.
    The conversion rate after a click (CVR) is thereby learned from all impressions, through the probability of click
    and conversion (CTCVR).

    Args:
        logits: shape (batch, tasks).
        tasks: names of the tasks.
        follows: for each task that follows another task, that other task; without cycles.

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
