from __future__ import annotations

import torch

from qarm.models.ranker.numbers import LARGEST, Standardised
from qarm.models.world import World


def test_numbers_get_mean_0_and_spread_1_and_constants_stay() -> None:
    torch.manual_seed(0)
    rows = torch.randn(1000, 3) * torch.tensor([1e-3, 500.0, 0.0]) + torch.tensor([0.2, -30.0, 7.0])
    numbers = Standardised(3)
    assert torch.equal(numbers(rows[:, :1].expand(-1, 3)), rows[:, :1].expand(-1, 3)), "as they are, before"
    numbers.measure(rows.split(300), World())
    out = numbers(rows)
    torch.testing.assert_close(out[:, :2].mean(0), torch.zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(out[:, :2].std(0), torch.ones(2), atol=1e-2, rtol=0)
    assert torch.equal(out[:, 2], rows[:, 2])
    assert numbers(torch.full((1, 3), 1e9)).max() == LARGEST


def test_no_rows_and_no_numbers_measure_nothing() -> None:
    for width, parts in ((2, []), (0, [torch.zeros(5, 0)])):
        numbers = Standardised(width)
        numbers.measure(parts, World())
        assert not numbers.known.any()


def test_what_came_with_the_weights_stays_and_what_never_differed_is_measured_now() -> None:
    first, second = torch.randn(50, 2) + 3, torch.randn(50, 2) - 9
    first[:, 1] = 0
    numbers = Standardised(2)
    numbers.measure([first], World())
    before = numbers.mean.clone()
    numbers.measure([second], World())
    assert numbers.mean[0] == before[0]
    torch.testing.assert_close(numbers.mean[1], second[:, 1].mean())
    assert numbers.known.all()
