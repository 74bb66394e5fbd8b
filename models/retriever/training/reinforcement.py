"""Reinforcement of a retriever by a reward of codes: GRPO, and DPO for comparison (OneMall, arXiv 2601.21770).

Candidates come from the policy's own beam and are made anew each round; others report that recall collapses with
candidates of another policy. The loss is mixed with the next-token loss, and held near a frozen reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.optimiser import Optimisers, clip_gradients
from models.retriever.network.network import Batch, Retriever
from models.world import World

EVEN = 1e-4
"""Standard deviation of the rewards of a group below which the group says nothing and is left out."""
CHUNK = 64
"""Users whose codes are scored at a time without a gradient."""


@dataclass(frozen=True, kw_only=True)
class ReinforcementParameters:
    """How a retriever is reinforced.

    Attributes:
        method: ``grpo`` (Shao et al., arXiv 2402.03300) or ``dpo`` (Rafailov et al., arXiv 2305.18290).
        weight: weight of the reward's loss beside the next-token loss.
        share: prompts of a step, as a share of the rows of a next-token batch.
        clip: GRPO: how far the ratio to the probability at the beginning of the round counts.
        bound: GRPO: how far beyond ``1 + clip`` the ratio of a code with a negative advantage may pass; the old
            probability is bounded from below so that it does not (ECPO of OneRec).
        kl_weight: GRPO: weight of the divergence from the reference.
        beta: DPO: how strongly the reference holds.
        learning_rate: learning rate.
        weight_decay: weight decay of AdamW.
        largest_gradient: largest joint norm of all gradients; 0 clips nothing.
        balance_rate: see :class:`models.retriever.training.training.RetrieverParameters`.
        seed: random seed of the order of the prompts and of dropout.
    """

    method: Literal["grpo", "dpo"]
    weight: float
    share: float
    clip: float
    bound: float
    kl_weight: float
    beta: float
    learning_rate: float
    weight_decay: float
    largest_gradient: float
    balance_rate: float
    seed: int


@dataclass(frozen=True)
class Rewarded:
    """Candidates of some prompts with their rewards.

    Attributes:
        codes: codes of each prompt's beam, padded with -1, shape (prompts, group).
        rewards: reward of each code; NaN where there is none, shape (prompts, group).
    """

    codes: Tensor
    rewards: Tensor


def advantages(rewards: Tensor) -> Tensor:
    """Rewards normalised within each group, 0 for a code without one and for a group whose rewards are all alike.

    Args:
        rewards: NaN where there is none, shape (prompts, group).
    """
    known = ~torch.isnan(rewards)
    filled = torch.where(known, rewards, torch.zeros_like(rewards))
    count = known.sum(1, keepdim=True).clamp(min=1)
    mean = filled.sum(1, keepdim=True) / count
    off = torch.where(known, filled - mean, torch.zeros_like(filled))
    spread = (off.square().sum(1, keepdim=True) / count).sqrt()
    return torch.where(spread > EVEN, off / spread.clamp(min=EVEN), torch.zeros_like(off))


def grpo_loss(
    log_prob: Tensor, old: Tensor, reference: Tensor, advantage: Tensor, *, parameters: ReinforcementParameters
) -> Tensor:  # fmt: skip
    """Clipped policy loss with the divergence from the reference, mean over codes and levels.

    Args:
        log_prob: logarithm of each code's probability by level, shape (n, levels).
        old: the same at the beginning of the round.
        reference: the same by the reference.
        advantage: of each code, shape (n,).
        parameters: clipping and weights.
    """
    p = parameters
    # The old probability of a code that is pushed down is bounded from below, so that its ratio stays bounded.
    floor = log_prob.detach() - float(np.log1p(p.clip + p.bound))
    old = torch.where((advantage < 0)[:, None], torch.maximum(old, floor), old)
    ratio = (log_prob - old).exp()
    gain = torch.minimum(ratio * advantage[:, None], ratio.clamp(1 - p.clip, 1 + p.clip) * advantage[:, None])
    far = reference - log_prob
    divergence = far.exp() - far - 1
    return (p.kl_weight * divergence - gain).mean()


def dpo_loss(log_prob: Tensor, reference: Tensor, pairs: Tensor, beta: float) -> Tensor:
    """Loss of pairs of a better and a worse code, mean over the pairs.

    Args:
        log_prob: logarithm of each code's probability, shape (n,).
        reference: the same by the reference.
        pairs: rows of the better and of the worse code, shape (pairs, 2).
        beta: how strongly the reference holds.
    """
    margin = (log_prob - reference)[pairs]
    return -functional.logsigmoid(beta * (margin[:, 0] - margin[:, 1])).mean()


class Reinforcement:
    """A retriever that is reinforced, round by round.

    Args:
        network: the policy; it is changed.
        reference: a frozen copy of the network before the first round.
        parameters: how it is reinforced.
        next_token: batches with ``target_code``, without end.
    """

    def __init__(
        self,
        network: Retriever,
        reference: Retriever,
        parameters: ReinforcementParameters,
        next_token: Iterator[Batch],
    ) -> None:
        self.network, self.reference, self.parameters = network, reference.eval(), parameters
        self.next_token = next_token
        self.step = 0
        self._optimisers: Optimisers | None = None

    def round(self, prompts: Mapping[str, Tensor], rewarded: Rewarded, steps: int) -> dict[str, float]:
        """Takes the steps of one round over all prompts.

        Args:
            prompts: history columns of the prompts, each of shape (prompts, …).
            rewarded: candidates of the prompts and their rewards.
            steps: steps of all rounds together, over which the learning rate falls.

        Returns:
            ``loss``, ``next_token_loss``, ``divergence`` from the reference after the round, and ``informative``, the
            share of the groups whose rewards differ; means over the round.
        """
        p = self.parameters
        if self._optimisers is None:
            self._optimisers = Optimisers(self.network, p.learning_rate, p.weight_decay, max(steps, 1))
        advantage = advantages(rewarded.rewards)
        useful = torch.nonzero((advantage != 0).any(1))[:, 0]
        old, fixed = (self._log_probs(net, prompts, rewarded.codes) for net in (self.network, self.reference))
        generator = np.random.default_rng([p.seed % 2**32, self.step])
        order = useful[torch.from_numpy(generator.permutation(len(useful)))]
        losses: list[tuple[float, float]] = []
        while len(order):
            batch = next(self.next_token)
            size = max(1, round(p.share * len(batch["target_code"])))
            rows, order = order[:size], order[size:]
            group = Rewarded(rewarded.codes[rows], advantage[rows])
            chosen = {name: column[rows] for name, column in prompts.items()}
            losses.append(self._step(batch, chosen, group, old=old[rows], fixed=fixed[rows]))
        after = self._log_probs(self.network, prompts, rewarded.codes)
        known = rewarded.codes >= 0
        far = (fixed - after)[known]
        means = np.array(losses).mean(0) if losses else np.zeros(2)
        return {
            "loss": float(means[0]), "next_token_loss": float(means[1]),
            "divergence": float((far.exp() - far - 1).mean()), "informative": len(useful) / max(len(advantage), 1),
        }  # fmt: skip

    def _step(
        self, batch: Batch, prompts: Mapping[str, Tensor], group: Rewarded, *, old: Tensor, fixed: Tensor
    ) -> tuple[float, float]:  # fmt: skip
        """One step; ``group`` holds advantages in place of rewards."""
        p, network, optimisers = self.parameters, self.network, self._optimisers
        assert optimisers is not None
        torch.manual_seed(p.seed * 1_000_003 + self.step)
        self.step += 1
        optimisers.zero_grad()
        for mixture in network.mixtures:  # what beams and measurements left
            mixture.load.zero_()
        network.train()
        next_token = network.loss(batch)
        network.eval()  # the ratio compares with probabilities that were computed without dropout
        loss = self._reward_loss(prompts, group, old, fixed)
        (next_token + p.weight * loss).backward()
        optimisers.sum_gradients(World())
        clip_gradients(optimisers.weights, p.largest_gradient)
        optimisers.step()
        for mixture in network.mixtures:
            mixture.balance(mixture.load, p.balance_rate)
            mixture.load.zero_()
        return loss.item(), next_token.item()

    def _reward_loss(
        self, prompts: Mapping[str, Tensor], group: Rewarded, old: Tensor, fixed: Tensor
    ) -> Tensor:  # fmt: skip
        p = self.parameters
        log_prob, _ = self.network.log_prob(self.network.encode(prompts), group.codes)
        known = group.codes >= 0
        advantage = group.rewards[known]
        if p.method == "grpo":
            return grpo_loss(log_prob, old[known], fixed[known], advantage, parameters=p)
        pairs = preferences(group.rewards, known)
        if not len(pairs):
            return log_prob.sum() * 0.0
        return dpo_loss(log_prob.sum(-1), fixed[known].sum(-1), pairs, p.beta)

    @torch.no_grad()
    def _log_probs(self, network: Retriever, prompts: Mapping[str, Tensor], codes: Tensor) -> Tensor:
        """Logarithm of the probability of every candidate by level, 0 for padding, shape (prompts, group, levels)."""
        network.eval()
        found = torch.zeros(*codes.shape, network.tree.levels, device=codes.device)
        for start in range(0, len(codes), CHUNK):
            own = slice(start, start + CHUNK)
            encoded = network.encode({name: column[own] for name, column in prompts.items()})
            found[own][codes[own] >= 0] = network.log_prob(encoded, codes[own])[0]
        for mixture in network.mixtures:
            mixture.load.zero_()
        return found


def preferences(advantage: Tensor, known: Tensor) -> Tensor:
    """Pairs for DPO: in each group the best code with the worst, the second best with the second worst, and so on.

    Args:
        advantage: of each code, shape (prompts, group).
        known: which codes are no padding, shape (prompts, group).

    Returns:
        Rows of the better and of the worse code among the known ones, in their order, shape (pairs, 2).
    """
    places = torch.full(known.shape, -1, dtype=torch.int64, device=known.device)
    places[known] = torch.arange(int(known.sum()), device=known.device)
    best = advantage.masked_fill(~known, -torch.inf).argsort(stable=True, dim=1, descending=True)
    worst = advantage.masked_fill(~known, torch.inf).argsort(stable=True, dim=1)
    half = known.shape[1] // 2
    pairs = torch.stack([places.gather(1, best[:, :half]), places.gather(1, worst[:, :half])], -1)
    better = advantage.gather(1, best[:, :half]) > advantage.gather(1, worst[:, :half])
    return pairs[better & (pairs >= 0).all(-1)]
