"""Training of a retriever: next-token loss over the levels, early stopping on the validation NDCG of codes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.retriever.beam import beam_search
from models.retriever.network.network import Batch, Retriever
from models.training_loop import Training, TrainingParameters
from models.world import World

BEAM = 50
NEAR = 10
"""Hit rates are measured among so many codes: a wide beam, and its head."""


@dataclass(frozen=True, kw_only=True)
class RetrieverParameters(TrainingParameters):
    """How a retriever is trained.

    Attributes:
        contrastive_weight: weight of the contrastive loss; 0 for none.
        balance_rate: how far an expert's bias moves in a step, see :class:`models.retriever.network.mixture.Mixture`.
    """

    contrastive_weight: float
    balance_rate: float


class RetrieverTraining(Training[Retriever]):
    """A retriever in training."""

    section, measure, way_out = "retriever", "ndcg_50", "add events, or lower retriever.visit_minutes"

    def __init__(
        self, network: Retriever, steps_per_epoch: int, parameters: RetrieverParameters, *, name: str, world: World
    ) -> None:
        super().__init__(network, steps_per_epoch, parameters, name=name, world=world)
        self.own = parameters
        network.tree = network.tree.to(self.device)

    def loss_of(self, batch: Batch) -> Tensor:
        """The next-token loss, and the contrastive loss by its weight."""
        return self.network.loss(batch, self.own.contrastive_weight)

    def after_step(self) -> None:
        """Balances the experts by the loads of all processes."""
        for mixture in self.network.mixtures:
            mixture.balance(self.world.sum(mixture.load), self.own.balance_rate)
            mixture.load.zero_()

    def measured(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Hit rates and NDCG of codes, loss of a code in nats, and how uneven the experts' loads are."""
        return validation_figures(self.network, batches, self.world)


@torch.inference_mode()
def validation_figures(network: Retriever, batches: Iterable[Batch], world: World | None = None) -> dict[str, float]:
    """What is measured on the validation moments, over the targets of all of them.

    ``hit_rate_10`` and ``hit_rate_50``: share of the targets that are among the first codes of a beam of 50. These are
    hits on codes; ``retrieve`` measures lists of items. ``ndcg_50``: mean of ``1 / log2(1 + rank)`` in this beam, 0
    for a target that is not in it; it decides, as it still tells beams apart that hold every target. ``valid_loss``:
    mean loss of a target, nats. ``uneven``: the largest load of an expert over the mean load, of the layer where it is
    largest; 1 without a mixture.

    Args:
        network: the network.
        batches: this process's batches.
        world: the processes that share them; None for this process alone.
    """
    network.eval()
    sums = torch.zeros(5, dtype=torch.float64)
    gains = 1 / torch.log2(torch.arange(2.0, BEAM + 2.0, device=network.device))
    loads = [torch.zeros_like(mixture.load) for mixture in network.mixtures]
    for batch in batches:
        target = batch["target_code"]
        encoded = network.encode(batch)
        for mixture in network.mixtures:
            mixture.load.zero_()
        log_prob, _ = network.log_prob(encoded, target)
        for load, mixture in zip(loads, network.mixtures, strict=True):
            load += mixture.load
        codes, _ = beam_search(network, encoded, len(target), BEAM)
        hit = (target[:, :, None] == codes[:, None]) & (target >= 0)[:, :, None]
        valid = (target >= 0).sum()
        near, wide, gained = hit[..., :NEAR].any(-1).sum(), hit.any(-1).sum(), (hit * gains).sum()
        sums += torch.stack([near, wide, gained, -log_prob.sum(), valid]).double().cpu()
    for mixture in network.mixtures:
        mixture.load.zero_()
    world = world or World()
    *figures, count = world.sum(sums).tolist()
    uneven = [float(total.max() / total.mean()) for total in map(world.sum, loads) if total.sum()]
    names = ("hit_rate_10", "hit_rate_50", "ndcg_50", "valid_loss")
    means = {name: value / max(count, 1) for name, value in zip(names, figures, strict=True)}
    return means | {"uneven": max(uneven, default=1.0)}


def popular_hit_rates(popularity: Tensor, batches: Iterable[Batch]) -> dict[str, float]:
    """Hit rates of the most popular codes, the same for every moment, over the same targets.

    Args:
        popularity: of each code, shape (codes,).
        batches: validation batches.
    """
    best = popularity.argsort(descending=True, stable=True)[:BEAM]
    near = wide = count = 0
    for batch in batches:
        target = batch["target_code"]
        hit = target[:, :, None] == best
        near, wide = near + int(hit[..., :NEAR].any(-1).sum()), wide + int(hit.any(-1).sum())
        count += int((target >= 0).sum())
    return {"popular_hit_rate_10": near / max(count, 1), "popular_hit_rate_50": wide / max(count, 1)}
