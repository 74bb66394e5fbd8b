from __future__ import annotations

import copy
from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest
import torch

from models.retriever.beam import beam_search
from models.retriever.training.reinforcement import (
    Reinforcement,
    ReinforcementParameters,
    Rewarded,
    advantages,
    dpo_loss,
    grpo_loss,
    preferences,
)
from tests.models.retriever.networks import batch, catalogue, histories, network

PARAMETERS = ReinforcementParameters(
    method="grpo", weight=5.0, share=0.5, clip=0.2, bound=0.1, kl_weight=0.05, beta=0.1, learning_rate=3e-3,
    weight_decay=0.0, largest_gradient=5.0, balance_rate=0.0, seed=3,
)  # fmt: skip


def test_rewards_are_normalised_within_a_group_and_an_even_group_says_nothing() -> None:
    nothing = float("nan")
    made = advantages(torch.tensor([[1.0, 2.0, 3.0, nothing], [0.4, 0.4, 0.4, 0.4], [nothing] * 4]))
    assert made[0].tolist() == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5, 0.0])
    assert (made[1:] == 0).all()


def test_a_ratio_beyond_the_clip_has_no_gradient_and_a_bad_codes_ratio_is_bounded() -> None:
    free = replace(PARAMETERS, kl_weight=0.0)
    old = torch.tensor([[-2.0], [-2.0], [-9.0]])
    now = torch.tensor([[-1.0], [-2.0], [-1.0]], requires_grad=True)
    advantage = torch.tensor([1.0, 1.0, -1.0])
    loss = grpo_loss(now, old, old, advantage, parameters=free)
    loss.backward()
    assert now.grad is not None
    assert now.grad[0] == 0  # it has already risen by more than the clip
    assert now.grad[1] == pytest.approx(-1 / 3)
    assert now.grad[2] == pytest.approx(1.3 / 3)  # without the bound it would be exp(8) / 3
    assert loss.item() == pytest.approx(-(1.2 + 1.0 - 1.3) / 3, abs=1e-6)


def test_the_divergence_pulls_towards_the_reference() -> None:
    now = torch.tensor([[-1.0]], requires_grad=True)
    parameters = replace(PARAMETERS, kl_weight=1.0)
    grpo_loss(now, now.detach(), torch.tensor([[-3.0]]), torch.zeros(1), parameters=parameters).backward()
    assert now.grad is not None
    assert now.grad > 0  # gradient descent lowers the probability, towards that of the reference


def test_preferences_pair_the_best_with_the_worst() -> None:
    advantage = torch.tensor([[0.5, -1.0, 0.0, 2.0], [1.0, 1.0, 1.0, 0.0]])
    known = torch.tensor([[True, True, True, True], [True, True, True, False]])
    assert preferences(advantage, known).tolist() == [[3, 1], [0, 2]]
    better = torch.tensor([-1.0, -2.0], requires_grad=True)
    dpo_loss(better, torch.tensor([-1.0, -2.0]), torch.tensor([[0, 1]]), 0.1).backward()
    assert better.grad is not None
    assert better.grad[0] == pytest.approx(-0.05)
    assert better.grad[1] == pytest.approx(0.05)


@pytest.mark.parametrize("method", ["grpo", "dpo"])
def test_what_is_rewarded_rises(method: str) -> None:
    torch.set_num_threads(1)
    known, of = catalogue(), histories(users=12, events=150)
    net = network(known)
    rows = batch(known, of)
    prompts = {name: column for name, column in rows.items() if name != "target_code"}
    wanted = torch.from_numpy((known.codes[:, 0] == 2).astype(np.float32))  # one first token of six

    def mean_reward() -> float:
        codes, _ = beam_search(net.eval(), net.encode(prompts), 12, 10)
        return float(wanted[codes].mean())

    weight = 5.0 if method == "grpo" else 50.0
    parameters = replace(PARAMETERS, method=method, share=0.25, learning_rate=2e-2, weight=weight)
    policy = Reinforcement(net, copy.deepcopy(net), parameters, repeat(rows))
    before = mean_reward()
    for _ in range(4):
        with torch.no_grad():
            codes, _ = beam_search(net.eval(), net.encode(prompts), 12, 30)
        told = policy.round(prompts, Rewarded(codes, wanted[codes]), 20)
    assert told["informative"] > 0.5
    assert told["divergence"] > 0
    assert mean_reward() > before + 0.1
