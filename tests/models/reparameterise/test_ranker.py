from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape
from models.ranker.serving.sources import sources
from models.reparameterise.colours import Colour, Source
from models.reparameterise.costs import Costs
from models.reparameterise.reparameterise import reparameterise
from tests.models.ranker.serving.test_scorer import random_ranker
from tests.ranker_batches import SHAPE, batch

ALWAYS = Costs(candidates=50, addition=0, call=0, items_once=True)
SMALL = replace(SHAPE, tasks=["click", "order"], hidden=[16, 8], experts=2)
SHAPES = {
    **{mixture: replace(SMALL, mixture=mixture) for mixture in ("shared", "mmoe", "ple")},
    **{search: replace(SHAPE, search=search, search_k=3) for search in ("soft", "twin", "eta")},
}


def inputs(shape: RankerShape, rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch of one user: the user's columns are those of the first row."""
    columns = batch(rows, seed)
    found = {}
    for name, source in sources(shape, one_day=True).items():
        of_user = source in (Source.USER, Source.MOMENT)
        values = columns[name]
        found[name] = values[:1].expand(rows, *values.shape[1:]).contiguous() if of_user else values
    return found


class ByColumns(nn.Module):
    """A ranker that takes each column as an argument of its own, as ``torch.export`` asks."""

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, **columns: torch.Tensor) -> torch.Tensor:
        return self.ranker(columns)


def ready(shape: RankerShape) -> Ranker:
    ranker = random_ranker(shape)
    ranker.numbers.slope.fill_(0.7)
    return ranker


@pytest.mark.parametrize("name", SHAPES)
def test_scores_are_the_rankers(name: str) -> None:
    shape = SHAPES[name]
    of_column = sources(shape, one_day=True)
    ranker = ByColumns(ready(shape)).double()
    once = reparameterise(ranker, inputs(shape, 3), of_column, ALWAYS)
    columns = inputs(shape, 50, seed=2)
    user = {name: columns[name][:1] for name, of in of_column.items() if of in (Source.USER, Source.MOMENT)}
    with torch.inference_mode():
        theirs, ours = ranker(**columns), once(user, columns)
    assert float(theirs.std()) > 0.01
    assert float((ours - theirs).abs().max()) <= 1e-12 * float(theirs.abs().max())
    colours = {node.name: node.colour for node in once.card.nodes}
    assert Colour.USER in colours.values()
    assert Colour.ITEM in colours.values()
    assert once.card.after < once.card.before


def test_logits_are_the_rankers_in_single_precision() -> None:
    of_column = sources(SHAPES["ple"], one_day=True)
    ranker = ByColumns(ready(SHAPES["ple"]))
    once = reparameterise(ranker, inputs(SHAPES["ple"], 3), of_column, ALWAYS)
    columns = inputs(SHAPES["ple"], 300, seed=2)
    user = {name: columns[name][:1] for name, of in of_column.items() if of in (Source.USER, Source.MOMENT)}
    with torch.inference_mode():
        theirs, ours = ranker(**columns), once(user, columns)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    for a, b in zip(theirs.T, ours.T, strict=True):
        assert float((a[a.topk(100).indices] - a[b.topk(100).indices]).abs().max()) <= 1e-5
