from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape
from models.ranker.serving import scorer as serving
from models.ranker.serving import user_attention
from models.ranker.serving.scorer import Scorer, tiled
from schemas.features import EVENT_FIELDS, FEATURES, OF_USER, SWITCHES
from tests.ranker_batches import NEIGHBOURS, SHAPE, TEXT_SHAPE, TEXTS, batch, draw_feature, draw_field, without

EVENTS, RECENT, FOUND = 30, 5, 7
TWO_TASKS = replace(
    SHAPE, tasks=["click", "order"], follows={"order": "click"}, hidden=[16, 8], mixture="ple", experts=2
)


def drawn(n: int, events: int = EVENTS, seed: int = 0) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A user with so many events and n candidates, some of which found fewer events than others."""
    g = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, *size: int) -> torch.Tensor:
        return torch.randint(low, high, size, generator=g, dtype=torch.int32)

    fields = {f"event_{name}": draw_field(name, (1 + events,), g) for name in EVENT_FIELDS}
    for values in fields.values():
        values[0] = 0
    recent = torch.arange(1, 1 + min(events, RECENT), dtype=torch.int32)
    context = {feature.name: draw_feature(feature, 1, g) for feature in FEATURES if feature.of_user}
    context["history_length"] = torch.tensor([events])
    candidates = {feature.name: draw_feature(feature, n, g) for feature in FEATURES if feature.name not in OF_USER}
    for name in ("item_events", "taken_gap", "shared_gap", "neighbour_item", "sid_2", "sid_3"):
        candidates[name] -= 1  # also those that there are none of
    found = draw(1, 1 + events, n, FOUND) if events else torch.zeros(n, FOUND, dtype=torch.int32)
    candidates["found"] = found * (torch.arange(FOUND) < draw(0, FOUND + 1, n, 1)).int()
    candidates["found_score"] = (torch.rand(n, FOUND, generator=g) * 2 - 1) * (candidates["found"] > 0)
    return {**fields, **context, "recent": recent}, candidates


def random_ranker(shape: RankerShape) -> Ranker:
    """Every weight drawn, also those that begin at 0."""
    torch.manual_seed(3)
    ranker = Ranker(shape).eval()
    if ranker.text is not None:
        ranker.text.open(TEXTS)
    for name, weight in ranker.named_parameters():
        torch.nn.init.normal_(weight, std=0.3)
        if name.startswith(("item", "code", "of_event")):
            weight.data[0] = 0
    ranker.fill_bank()
    numbers = ranker.numbers
    numbers.begin.copy_(torch.rand_like(numbers.begin) * 4)
    numbers.slope.copy_(0.7 * (torch.rand_like(numbers.slope) > 0.5))  # the others are bins that a number lacks
    numbers.mean.copy_(0.3 * (numbers.slope > 0))
    return ranker


def assert_same(ranker: Ranker, n: int, events: int = EVENTS) -> None:
    assert_scores(Scorer(ranker, NEIGHBOURS), n, events)


def assert_scores(scorer: Scorer, n: int, events: int = EVENTS) -> None:
    ranker, (user, candidates) = scorer.ranker, drawn(n, events)
    with torch.inference_mode():
        ours = scorer.probabilities(user, candidates)
        theirs = ranker.probabilities(tiled(ranker.shape, user, candidates))
    assert ours.shape == (n, len(ranker.shape.tasks))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    if n <= 100:  # of more, some are too close to each other
        assert torch.equal(ours.argsort(0), theirs.argsort(0))


PREFIXES = replace(SHAPE, code_tables="prefixes", prefix_rows=64)


@pytest.mark.parametrize("shape", [SHAPE, PREFIXES, TWO_TASKS, replace(TWO_TASKS, mixture="mmoe"), TEXT_SHAPE])
def test_scores_and_rankings_are_the_training_models(shape: RankerShape) -> None:
    scorer = Scorer(random_ranker(shape), NEIGHBOURS)
    for n in (1, 40, 515):
        assert_scores(scorer, n)


def test_short_histories_need_no_padding() -> None:
    for shape in (SHAPE, TEXT_SHAPE):
        scorer = Scorer(random_ranker(shape), NEIGHBOURS)
        for events in (0, 1, 3):
            assert_scores(scorer, 20, events)


OF_LEARNED, OF_ITEM = {"crosses", "mix", "counts"}, {"codes", "neighbours"}


@pytest.mark.parametrize(
    "switches", [OF_LEARNED, OF_ITEM, {switch.name for switch in SWITCHES} - OF_LEARNED - OF_ITEM]
)  # fmt: skip
def test_every_switch_may_be_off(switches: set[str]) -> None:
    assert_same(random_ranker(replace(SHAPE, use=without(*switches))), 20)


@pytest.mark.parametrize("histories", [["found"], ["found", "recent"]])
def test_histories_are_those_of_the_shape(histories: list[str]) -> None:
    assert_same(random_ranker(replace(SHAPE, histories=histories)), 20)


@pytest.mark.parametrize("search", ["soft", "twin", "eta"])
def test_a_ranker_with_a_search_of_its_own_scores_the_same_in_blocks(
    search: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "BLOCK_EVENTS", 4 * FOUND)
    assert_same(random_ranker(replace(SHAPE, search=search, search_k=3)), 30)


def test_a_trained_ranker_scores_the_same() -> None:
    torch.manual_seed(0)
    ranker = Ranker(SHAPE)
    optimiser = torch.optim.Adam(ranker.parameters(), lr=0.02)
    losses = []
    for step in range(40):
        loss = ranker.loss(batch(seed=step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05
    assert_same(ranker.eval(), 100)


@pytest.mark.parametrize("short", [0, 1_000])
@pytest.mark.parametrize("off", [set(), {"crosses"}, {"mix"}])
def test_events_are_multiplied_whole_or_read_by_index(
    off: set[str], short: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_attention, "SHORT", short)
    monkeypatch.setattr(user_attention, "BLOCK", 700)
    assert_same(random_ranker(replace(SHAPE, use=without(*off))), 50)


def test_scores_are_equal_to_the_bit_from_call_to_call() -> None:
    scorer, (user, candidates) = Scorer(random_ranker(SHAPE), NEIGHBOURS), drawn(300)
    with torch.inference_mode():
        first = scorer.probabilities(user, candidates)
        scorer.probabilities(*drawn(77, seed=1))
        copies = ({name: values.clone() for name, values in side.items()} for side in (user, candidates))
        assert torch.equal(scorer.probabilities(*copies), first)
