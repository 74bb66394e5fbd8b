from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.ranker.network.code_tables import PrefixTables
from models.ranker.network.ranker import Ranker
from tests.ranker_batches import SHAPE, batch, without

PREFIXES = replace(SHAPE, code_tables="prefixes", prefix_rows=64)


def tables(rows: int = 10_007) -> PrefixTables:
    torch.manual_seed(0)
    return PrefixTables((9, 9, 9), 6, rows)


def codes(*ids: tuple[int, int, int]) -> list[torch.Tensor]:
    return list(torch.tensor(ids, dtype=torch.int32).unbind(1))


def test_a_code_means_another_thing_below_another_prefix() -> None:
    made = tables()
    ((one, other),) = made(codes((1, 2, 3), (4, 2, 3)))
    below = made.places(codes((1, 2, 3), (4, 2, 3), (1, 2, 5), (1, 6, 3)))
    assert [len(set(places.tolist())) for places in below] == [2, 3, 4]
    assert below[1][0] == below[1][2], "the same two codes"
    assert not torch.allclose(one, other)
    torch.testing.assert_close(one, made[0].weight[1] + made[1].weight[below[1][0]] + made[2].weight[below[2][0]])


def test_a_prefix_keeps_its_row_as_levels_grow() -> None:
    asked = codes((1, 2, 3), (8, 8, 8), (4, 0, 0))
    one, grown = PrefixTables((9, 9, 9), 6, 1_001), PrefixTables((9, 30, 11), 6, 1_001)
    for here, there in zip(one.places(asked), grown.places(asked), strict=True):
        assert torch.equal(here, there)


def test_no_code_is_no_prefix_of_its_length_or_longer() -> None:
    made = tables()
    ((none, first, two),) = made(codes((0, 0, 0), (3, 0, 0), (3, 4, 0)))
    assert (none == 0).all()
    assert torch.equal(first, made[0].weight[3])
    assert [places.tolist() for places in made.places(codes((0, 2, 3), (3, 0, 5)))] == [[0, 3], [0, 0], [0, 0]]
    assert not torch.equal(two, first)


def test_prefixes_spread_over_a_small_table_and_never_take_the_padding() -> None:
    every = torch.cartesian_prod(*[torch.arange(1, 9)] * 3)
    places = tables(rows=65).places(every.unbind(1))
    for of_prefix in places[1:]:
        counts = torch.bincount(of_prefix, minlength=65)
        assert counts[0] == 0
        assert (counts[1:] > 0).sum() >= 35
        assert len(counts) == 65


@pytest.mark.parametrize("use", [SHAPE.use, without("codes", "crosses")], ids=["codes", "no codes"])
def test_a_ranker_learns_them_and_keeps_its_widths(use: list[str]) -> None:
    by_level, by_prefix = Ranker(replace(SHAPE, use=use)), Ranker(replace(PREFIXES, use=use))
    assert by_level.attention["recent"].query.in_features == by_prefix.attention["recent"].query.in_features
    by_prefix.loss(batch(16)).backward()
    moved = [name for name, weight in by_prefix.named_parameters() if name.startswith("code.") and weight.grad.any()]
    assert moved == ([f"code.{level}.weight" for level in range(3)] if "codes" in use else [])
