from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.ranker.network.attention import TargetAttention
from models.ranker.network.learned_search import HashSearch, SoftSearch, attention_relevance, most_relevant
from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape, Search
from tests.models.ranker.network.test_ranker import pad
from tests.ranker_batches import SHAPE, batch

LONG = replace(SHAPE, use=["crosses", "taste", "distinct_items", "counts"])


def searching(kind: Search, k: int) -> RankerShape:
    return replace(LONG, search=kind, search_k=k)


@pytest.mark.parametrize("kind", ["soft", "twin", "eta"])
def test_a_search_for_all_events_changes_nothing_but_their_order(kind: Search) -> None:
    torch.manual_seed(0)
    ranker = Ranker(searching(kind, 4)).eval()
    plain = Ranker(LONG).eval()
    plain.load_state_dict({n: w for n, w in ranker.state_dict().items() if not n.startswith("search.")})
    torch.testing.assert_close(ranker(batch()), plain(batch()))


@pytest.mark.parametrize("kind", ["soft", "twin", "eta"])
def test_padding_is_never_found_before_an_event(kind: Search) -> None:
    torch.manual_seed(0)
    ranker = Ranker(searching(kind, 3)).eval()
    torch.testing.assert_close(ranker(pad(batch(), 5)), ranker(batch()))


def test_most_relevant_leaves_padding_for_last() -> None:
    relevance = torch.tensor([[-5.0, 9.0, -1.0, 3.0]])
    there = torch.tensor([[True, False, True, False]])
    assert most_relevant(relevance, there, 3)[0, :2].tolist() == [2, 0]


def test_soft_search_learns_by_its_own_loss_alone() -> None:
    """The choice of events passes no gradient: without its own loss the search would never move."""
    torch.manual_seed(0)
    ranker = Ranker(searching("soft", 2))
    ranker.loss(batch()).backward()
    assert isinstance(ranker.search, SoftSearch)
    assert ranker.search.target.weight.grad.any()
    ranker.zero_grad()
    ranker(batch()).sum().backward()
    assert ranker.search.target.weight.grad is None or not ranker.search.target.weight.grad.any()


def test_soft_relevance_is_the_product_of_both_projections() -> None:
    torch.manual_seed(0)
    search, target, events = SoftSearch(8, 1), torch.randn(3, 8), torch.randn(3, 5, 8)
    expected = (search.event(events) * search.target(target)[:, None]).sum(-1) / 8**0.5
    torch.testing.assert_close(search.relevance(target, events), expected)


def test_hash_search_prefers_what_points_the_same_way() -> None:
    torch.manual_seed(0)
    search, target = HashSearch(8), torch.randn(3, 8)
    events = torch.stack([-target, target + 0.3 * torch.randn(3, 8), 2 * target], dim=1)
    relevance = search.relevance(target, events)
    assert relevance.argsort(dim=1).tolist() == [[0, 1, 2]] * 3
    assert relevance.round().tolist()[0][2] == 64 - 1
    assert HashSearch(8).relevance(target, target[:, None].expand(3, 4, 8)).argsort(dim=1)[0].tolist() == [3, 2, 1, 0]


def test_twin_searches_by_the_attentions_own_weights() -> None:
    torch.manual_seed(0)
    attention, target, events = TargetAttention(8, 2, mixes=False), torch.randn(3, 8), torch.randn(3, 5, 8)
    query, key = attention.query(target).view(3, 2, 1, 4), attention.key(events).view(3, 5, 2, 4).transpose(1, 2)
    expected = (query @ key.transpose(-1, -2))[:, :, 0].mean(1) / 2
    torch.testing.assert_close(attention_relevance(attention, target, events), expected)
