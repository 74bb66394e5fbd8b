from __future__ import annotations

import numpy as np
import pytest
import torch

from models.ranker.network.numbers import BINS, PiecewiseLinear, bin_edges
from models.world import World


def measured(rows: torch.Tensor) -> PiecewiseLinear:
    numbers = PiecewiseLinear(rows.shape[1])
    numbers.measure(rows.split(300), World())
    return numbers


def filled(numbers: PiecewiseLinear, rows: torch.Tensor) -> torch.Tensor:
    """How full the bins are, shape (rows, width, BINS)."""
    return numbers(rows).view(len(rows), -1, BINS) + numbers.mean


def test_bins_hold_equally_many_rows_and_fewer_where_one_value_fills_several() -> None:
    assert bin_edges(np.arange(801, dtype=np.float32)).tolist() == list(range(0, 801, 100))
    assert bin_edges(np.array([0] * 90 + [1] * 5 + [9] * 5, np.float32)).tolist() == [0, 9]
    assert bin_edges(np.array([0] * 500 + [1] * 300 + [9] * 201, np.float32)).tolist() == [0, 1, 9]
    assert bin_edges(np.full(5, 3, np.float32)).tolist() == [3]


def test_a_number_fills_the_bins_below_it_and_a_share_of_its_own() -> None:
    rows = torch.arange(801.0)[:, None]
    numbers = measured(rows)
    asked = torch.tensor([[-5.0], [0.0], [250.0], [800.0], [1e9]])
    expected = [[0] * 8, [0] * 8, [1, 1, 0.5, *[0] * 5], [1] * 8, [1] * 8]
    torch.testing.assert_close(filled(numbers, asked)[:, 0], torch.tensor(expected, dtype=torch.float32))
    torch.testing.assert_close(numbers(rows).mean(0), torch.zeros(8), atol=1e-5, rtol=0)


def test_scale_and_place_of_a_number_do_not_matter() -> None:
    torch.manual_seed(0)
    rows = torch.randn(1000, 1)
    torch.testing.assert_close(measured(rows)(rows), measured(rows * 500 - 30)(rows * 500 - 30), atol=1e-3, rtol=0)


def test_a_number_that_is_the_same_everywhere_says_nothing() -> None:
    rows = torch.stack([torch.full((50,), 7.0), torch.arange(50.0)], dim=1)
    numbers = measured(rows)
    assert numbers.known.tolist() == [False, True]
    assert not numbers(torch.tensor([[9.0, 3.0]])).view(2, BINS)[0].any()
    assert not PiecewiseLinear(2)(rows).any(), "nothing is known before it is measured"


@pytest.mark.parametrize("parts", [[], [torch.zeros(0, 2)]])
def test_no_rows_measure_nothing(parts: list[torch.Tensor]) -> None:
    numbers = PiecewiseLinear(2)
    numbers.measure(parts, World())
    assert not numbers.known.any()


def test_what_came_with_the_weights_stays_and_what_never_differed_is_measured_now() -> None:
    first, second = torch.randn(50, 2) + 3, torch.randn(50, 2) - 9
    first[:, 1] = 0
    numbers = measured(first)
    before = numbers.begin.clone()
    numbers.measure([second], World())
    assert torch.equal(numbers.begin[0], before[0])
    assert numbers.begin[1, 0] == second[:, 1].min()
    assert numbers.known.all()
