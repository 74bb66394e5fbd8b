from __future__ import annotations

import numpy as np
import pytest
import torch

from models.retriever.beam import beam_search
from models.retriever.network.mixture import Mixture
from models.retriever.network.query_former import QueryFormer
from tests.models.retriever.networks import SHAPE, batch, catalogue, histories, network

VARIANTS = [{}, {"queries": 0}, {"experts": 1}, {"copies": False}]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def scored(net, known, rows) -> tuple:
    encoded = net.encode(rows)
    users = len(rows["recent_code"])
    every = torch.arange(len(known.codes)).expand(users, -1)
    return encoded, net.log_prob(encoded, every)[0].sum(-1).view(users, -1)


@pytest.mark.parametrize("changes", VARIANTS)
@torch.inference_mode()
def test_a_wide_beam_ranks_the_whole_catalogue_exactly(changes: dict) -> None:
    known = catalogue()
    net = network(known, **changes)
    rows = batch(known, histories())
    encoded, exact = scored(net, known, rows)
    assert exact.exp().sum(1) == pytest.approx(np.ones(7), abs=1e-4)  # the codes that exist have all of the probability
    wide = len(known.codes) + 2
    codes, log_prob = beam_search(net, encoded, 7, wide)
    assert (codes[:, -2:] == -1).all()
    assert torch.isinf(log_prob[:, -2:]).all()
    assert torch.allclose(log_prob[:, :-2], exact.sort(descending=True).values, atol=1e-5)
    assert torch.allclose(exact.gather(1, codes[:, :-2]), log_prob[:, :-2], atol=1e-5)


@torch.inference_mode()
def test_a_narrow_beam_gives_legal_codes_with_their_exact_probability() -> None:
    known = catalogue()
    net = network(known)
    encoded, exact = scored(net, known, batch(known, histories()))
    codes, log_prob = beam_search(net, encoded, 7, 10)
    assert codes.min() >= 0
    assert all(len(np.unique(own)) == 10 for own in codes.numpy())
    assert torch.allclose(exact.gather(1, codes), log_prob, atol=1e-5)
    assert (log_prob.diff() <= 0).all()


@torch.inference_mode()
def test_a_user_is_scored_alike_alone_and_among_others() -> None:
    known, of = catalogue(), histories()
    net = network(known)
    every, alone = (scored(net, known, batch(known, some))[1] for some in (of, of.take(np.array([3]))))
    assert torch.allclose(every[3], alone[0], atol=1e-5)


@torch.inference_mode()
def test_codes_of_a_target_do_not_see_later_codes_nor_other_targets() -> None:
    known = catalogue()
    net = network(known)
    rows = batch(known, histories())
    encoded = net.encode(rows)
    first, both = torch.tensor([[4]] * 7), torch.tensor([[4, 90]] * 7)
    one, other = net.log_prob(encoded, first)[0], net.log_prob(encoded, both)[0][::2]
    assert torch.allclose(one, other, atol=1e-5)
    siblings = [code for code in range(len(known.codes)) if (known.codes[code, :2] == known.codes[4, :2]).all()]
    assert len(siblings) > 1
    last = net.log_prob(encoded, torch.tensor([siblings] * 7))[0].view(7, len(siblings), 3)
    assert torch.allclose(last[:, :, :2], last[:, :1, :2].expand(-1, len(siblings), -1), atol=1e-5)


@torch.inference_mode()
def test_folded_queries_give_what_keys_and_values_of_all_events_give() -> None:
    torch.manual_seed(0)
    former = QueryFormer(16, 4, 5, 0.0).eval()
    events, valid = torch.randn(6, 30, 16), torch.rand(6, 30) < 0.7
    valid[2] = False
    assert torch.allclose(former(events, valid), former.unfolded(events, valid), atol=1e-5)
    moved = torch.where(valid[..., None], events, torch.full_like(events, 9.0))
    assert torch.allclose(former(events, valid), former(moved, valid), atol=1e-6)


@torch.inference_mode()
def test_the_mixture_is_the_weighted_sum_of_each_tokens_experts() -> None:
    torch.manual_seed(0)
    mixture = Mixture(8, 12, 5, 2).eval()
    mixture.bias.copy_(torch.tensor([0.3, 0.0, -0.4, 0.1, 0.0]))
    tokens = torch.randn(40, 8)
    found = mixture(tokens)
    for row, token in enumerate(tokens):
        scores = torch.sigmoid(mixture.router(token))
        chosen = (scores + mixture.bias).argsort(descending=True)[:2]
        outputs = [torch.nn.functional.silu(token @ mixture.first[e]) @ mixture.second[e] for e in chosen]
        weights = scores[chosen] / scores[chosen].sum()  # the bias moves the choice, not the weight
        assert torch.allclose(found[row], sum(w * o for w, o in zip(weights, outputs, strict=True)), atol=1e-5)
    assert mixture.load.sum() == 80
    assert not len(mixture(tokens[:0]))


def test_balancing_evens_out_the_loads_without_a_gradient() -> None:
    torch.manual_seed(0)
    mixture = Mixture(8, 12, 8, 2)
    torch.nn.init.normal_(mixture.router.weight, std=0.1)
    tokens = torch.randn(400, 8) + 2.0  # all alike: without a bias a few experts get nearly all
    uneven = []
    for _ in range(100):
        mixture.load.zero_()
        mixture(tokens)
        uneven.append(float(mixture.load.max() / mixture.load.mean()))
        mixture.balance(mixture.load, 2e-2)
    assert uneven[0] > 2.5
    assert uneven[-1] < 1.5
    assert not mixture.bias.requires_grad


def test_every_weight_learns_from_the_loss() -> None:
    known = catalogue()
    net = network(known, contrastive=True).train()
    net.loss(batch(known, histories(events=200)), contrastive_weight=0.1).backward()
    assert [name for name, weight in net.named_parameters() if weight.grad is None] == []


@torch.inference_mode()
def test_a_code_that_was_taken_is_likelier_at_the_start() -> None:
    known = catalogue()
    net = network(known)
    for copy in net.copies:
        torch.nn.init.zeros_(copy.weight)
    for table in (net.codes.prefixes, net.codes.prefix_bias):
        torch.nn.init.zeros_(table.weight)
    rows = batch(known, histories(), SHAPE)
    _, exact = scored(net, known, rows)
    for user in range(1, 7):
        taken = rows["taken_code"][user]
        taken = taken[taken >= 0].long()
        others = np.setdiff1d(np.arange(len(known.codes)), taken)
        assert exact[user, taken].mean() > exact[user, others].mean()
