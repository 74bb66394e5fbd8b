from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks._mari_models import RANKERS, SOURCES, Widths, ranker, request, tiled
from models.reparameterise.costs import Costs
from models.reparameterise.ranker import ReparameterisedRanker
from models.reparameterise.reparameterise import reparameterise

WIDTHS = Widths()
ALWAYS = Costs(candidates=200, addition=0, call=0, items_once=True)
"""Everything that has a rule is rewritten, whether it pays or not."""


@cache
def both(name: str, costs: Costs, dtype: torch.dtype) -> tuple[nn.Module, ReparameterisedRanker]:
    module = ranker(name, WIDTHS).to(dtype)
    return module, reparameterise(module, tiled(*request(WIDTHS, 3, dtype=dtype)), SOURCES, costs)


def scores(name: str, costs: Costs, dtype: torch.dtype, candidates: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    module, once = both(name, costs, dtype)
    user, asked = request(WIDTHS, candidates, seed=5, dtype=dtype)
    with torch.inference_mode():
        return module(**tiled(user, asked)), once(user, asked)


@pytest.mark.parametrize("costs", [ALWAYS, Costs()], ids=["always", "where it pays"])
@pytest.mark.parametrize("name", RANKERS)
def test_scores_are_the_rankers_in_double_precision(name: str, costs: Costs) -> None:
    for candidates in (1, 2, 200):
        theirs, ours = scores(name, costs, torch.float64, candidates)
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().max()) <= 1e-12 * float(theirs.abs().max())


@pytest.mark.parametrize("name", RANKERS)
def test_logits_and_the_first_hundred_are_the_rankers_in_single_precision(name: str) -> None:
    theirs, ours = scores(name, ALWAYS, torch.float32)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    for a, b in zip(theirs.reshape(200, -1).T, ours.reshape(200, -1).T, strict=True):
        # where the orders differ, the ranker's own scores of both are equal but for rounding
        assert float((a[a.topk(100).indices] - a[b.topk(100).indices]).abs().max()) <= 1e-5


@pytest.mark.parametrize("name", RANKERS)
def test_a_table_of_items_made_once_gives_the_same_scores(name: str) -> None:
    module, once = both(name, ALWAYS, torch.float64)
    user, catalogue = request(WIDTHS, 40, seed=7, dtype=torch.float64)
    _, asked = request(WIDTHS, 90, seed=8, dtype=torch.float64)
    rows = torch.randint(0, 40, (90,), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        blocks = [once.of_items({k: v[start : start + 15] for k, v in catalogue.items()}) for start in (0, 15, 30)]
        table = {key: torch.cat([block[key] for block in blocks]) for key in blocks[0]}
        ours = once.with_table(user, {"cross": asked["cross"]}, table, rows)
        theirs = module(**tiled(user, {"target": catalogue["target"][rows], "cross": asked["cross"]}))
    assert float((ours - theirs).abs().max()) <= 1e-12 * float(theirs.abs().max())


@pytest.mark.parametrize("name", ["DIN", "PLE", "transformer"])
def test_a_saved_program_scores_any_number_of_candidates(name: str, tmp_path: Path) -> None:
    _, once = both(name, ALWAYS, torch.float64)
    user, asked = request(WIDTHS, 5, dtype=torch.float64)
    rows = torch.export.Dim("rows")
    shapes = {"user": dict.fromkeys(user), "candidates": {column: {0: rows} for column in asked}}
    torch.export.save(torch.export.export(once, (user, asked), dynamic_shapes=shapes), tmp_path / "ranker.pt2")
    loaded = torch.export.load(tmp_path / "ranker.pt2").module()
    for candidates in (2, 33):
        user, asked = request(WIDTHS, candidates, seed=4, dtype=torch.float64)
        assert torch.equal(loaded(user, asked), once(user, asked))


@pytest.mark.parametrize("name", RANKERS)
def test_user_networks_once_repeats_the_user_where_it_meets_the_candidates(name: str) -> None:
    theirs, ours = scores(name, Costs(split=False), torch.float64)
    assert float((ours - theirs).abs().max()) <= 1e-12 * float(theirs.abs().max())
    once, split = both(name, Costs(split=False), torch.float64)[1].card, both(name, ALWAYS, torch.float64)[1].card
    assert not any(node.rewritten for node in once.nodes)
    assert split.after < once.after <= once.before
    assert once.after == once.user_once
