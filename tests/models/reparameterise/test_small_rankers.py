"""Small rankers, one for each way in which a rewritten graph could lose entries, rows or a type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.reparameterise.colours import Source
from models.reparameterise.costs import Costs
from models.reparameterise.reparameterise import reparameterise

LENGTH, WIDTH = 5, 8
SHAPES = {"u": (WIDTH,), "h": (LENGTH, WIDTH), "i": (WIDTH,), "p": (WIDTH,), "f": (LENGTH, WIDTH)}
SOURCES = {"u": Source.USER, "h": Source.USER, "i": Source.ITEM, "p": Source.PAIR, "f": Source.PAIR}
ALWAYS = Costs(candidates=20, addition=0, call=0, items_once=True)
CROSSES = torch.randn(4, 4 * WIDTH, 4 * WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 4
Tensors = Mapping[str, torch.Tensor]
Forward = Callable[[nn.Module, Tensors], torch.Tensor]


class Small(nn.Module):
    """A ranker whose forward is given; ``layer`` fits what it is first called with."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.of, self.layer = forward, nn.LazyLinear(4, dtype=torch.float64)
        self.register_buffer("number", torch.tensor(0.5, dtype=torch.float64))
        self.register_buffer("ones", torch.ones(2 * WIDTH, 3))

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        return self.of(self, inputs)


def inputs(names: str, rows: int) -> dict[str, torch.Tensor]:
    """Inputs of one request, the user's repeated."""
    draw = torch.Generator().manual_seed(rows)
    found = {}
    for name in names:
        size = (1 if SOURCES[name] == Source.USER else rows, *SHAPES[name])
        values = torch.randn(size, generator=draw, dtype=torch.float64)
        found[name] = values.expand(rows, *SHAPES[name]).contiguous()
    return found


def beside(x: Tensors, length: int = LENGTH) -> torch.Tensor:
    """The user and the pair side by side, the same for every event."""
    return torch.cat([x["u"], x["p"]], -1)[:, None].expand(-1, length, -1)


def mean(x: Tensors) -> torch.Tensor:
    """The mean of all candidates, with a row for each."""
    return x["p"].mean(0).expand(x["p"].shape[0], -1)


def with_query(x: Tensors) -> torch.Tensor:
    """A history, and its product with one number a candidate."""
    query = x["p"][:, :1].unsqueeze(1).expand(-1, -1, WIDTH)
    return torch.cat([x["h"], query * x["h"]], -1)


def seen(x: Tensors, mask: torch.Tensor) -> torch.Tensor:
    """A history seen by a pair."""
    events = x["h"][:, None]
    return functional.scaled_dot_product_attention(x["p"][:, None, None], events, events, attn_mask=mask)[:, 0, 0]


def masked(x: Tensors, *, whole: bool) -> torch.Tensor:
    """A mask of the history: all of it is masked, or what is below 0."""
    return (x["h"][..., 0] > (torch.inf if whole else 0))[:, None, None]


def infinite(mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, 0.0, -torch.inf).double()


def stacked_rows(x: Tensors) -> torch.Tensor:
    """Rows of two orders side by side: two halves a row, and all first halves before all second ones."""
    near = x["u"].reshape(-1, 4)
    far = x["u"].reshape(-1, 2, 4).permute(1, 0, 2).reshape(-1, 4)
    both = torch.cat([near, far], 1)
    return x["p"][:, :2] + (both[:, :4] * both[:, 4:]).sum(1).reshape(-1, 2)


def crosses(x: Tensors, layers: int = 2, *, residual: bool = True, added: bool = False) -> torch.Tensor:
    """Layers of DCN's second form on all inputs that are vectors, and on half of the user's again."""
    first = torch.cat([x[name] for name in ("u", "i", "p") if name in x] + [x["u"][:, :4]], 1)
    value, width = first, first.shape[1]
    for weight in CROSSES[:layers, :width, :width]:
        product = first * functional.linear(value, weight, weight[0])
        value = product + value if residual else product
        value = value + CROSSES[0, 1, :width] if added else value
    return value


def two_types(first: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A cross layer whose linear layer computes in single precision."""
    return first * functional.linear(first.float(), weight @ weight.T)


def two_sides(x: Tensors) -> torch.Tensor:
    """One linear layer, multiplied with two vectors whose columns of the user's differ in number."""
    first = torch.cat([x["u"][:, :4], x["p"]], 1)
    other = torch.cat([x["u"], x["p"][:, :4]], 1)
    layer = functional.linear(first, CROSSES[0, :12, :12])
    return first * layer + first + other * layer


CASES: dict[str, tuple[str, Forward]] = {
    "cross layers": ("up", lambda s, x: s.layer(crosses(x))),
    "cross layers of three": ("uip", lambda s, x: s.layer(crosses(x))),
    "four cross layers": ("uip", lambda s, x: s.layer(crosses(x, 4))),
    "cross layers without a residual": ("up", lambda s, x: s.layer(crosses(x, residual=False))),
    "cross layers and a constant": ("uip", lambda s, x: s.layer(crosses(x, added=True))),
    "a layer with two sides": ("up", lambda s, x: s.layer(two_sides(x))),
    "a cross layer of two types": ("up", lambda s, x: s.layer(two_types(beside(x, 1)[:, 0], s.ones))),
    "cross layers, bent": ("uip", lambda s, x: s.layer(crosses(x).relu())),
    "cross layers, read twice": ("uip", lambda s, x: s.layer(crosses(x)) + s.layer(crosses(x).tanh())),
    "sum over events": ("hp", lambda s, x: s.layer((x["h"] + x["p"][:, None]).sum(1, keepdim=True))),
    "mean over events": ("hp", lambda s, x: s.layer((x["h"] + x["p"][:, None]).mean(1, keepdim=True))),
    "heads": ("hp", lambda s, x: s.layer((x["h"] + x["p"][:, None]).view(-1, LENGTH, 2, 4))),
    "flat": ("hp", lambda s, x: s.layer((x["h"] + x["p"][:, None]).view(-1, LENGTH * WIDTH))),
    "flat, scaled": ("hp", lambda s, x: s.layer(((x["h"] + x["p"][:, None]) * x["h"][:, :, :1]).flatten(1))),
    "one for all events, summed": ("up", lambda s, x: s.layer(beside(x).sum(1, keepdim=True))),
    "one for all events, in heads": ("up", lambda s, x: s.layer(beside(x).reshape(-1, LENGTH, 4, 4))),
    "one for all columns": ("up", lambda s, x: s.layer(torch.cat([x["u"], x["p"]], 1)[..., None].expand(-1, -1, 3))),
    "mean of candidates": ("p", lambda s, x: mean(x)),
    "mean of candidates beside": ("up", lambda s, x: s.layer(torch.cat([x["u"], x["p"], mean(x)], 1))),
    "mean of candidates summed": ("p", lambda s, x: s.layer(x["p"]) + s.layer(mean(x).sum(0))),
    "a number for each key": ("hp", lambda s, x: s.layer(with_query(x)).sum(1)),
    "empty history": ("hp", lambda s, x: seen(x, masked(x, whole=True))),
    "empty history, float mask": ("hp", lambda s, x: seen(x, infinite(masked(x, whole=True)))),
    "short history": ("hp", lambda s, x: seen(x, masked(x, whole=False))),
    "short history, float mask": ("hp", lambda s, x: seen(x, infinite(masked(x, whole=False)))),
    "a scalar of another type": (
        "up", lambda s, x: (torch.cat([x["u"].float(), x["p"].float()], 1) * s.number) @ s.ones
    ),
    "rows of two kinds gathered": (
        "up", lambda s, x: x["p"][:, :1] + x["u"].reshape(-1, 4).gather(1, (x["u"][:, :2] > 0).long())
    ),
    "rows of two kinds beside": ("up", lambda s, x: stacked_rows(x)),
    "rows last": ("uip", lambda s, x: (x["i"].T * 2 + x["p"].T * x["u"].T).sum(0)),
    "rows and events in one": ("ip", lambda s, x: s.layer(x["i"].reshape(-1, 4).tanh().reshape(-1, 8) + x["p"])),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("table", [False, True])
def test_scores_are_the_rankers(case: str, table: bool) -> None:
    names, forward = CASES[case]
    if table and "i" not in names:
        pytest.skip("no input is the item's")
    module = Small(forward)
    module(**inputs(names, 3))
    if not any(parameter.numel() for parameter in module.layer.parameters() if not nn.parameter.is_lazy(parameter)):
        module.layer = nn.Identity()  # type: ignore[assignment]
    once = reparameterise(module.eval(), inputs(names, 3), {name: SOURCES[name] for name in names}, ALWAYS)
    for rows in (1, 7, 20):
        given = inputs(names, rows)
        user = {name: values[:1] for name, values in given.items() if SOURCES[name] == Source.USER}
        theirs = module(**given)
        if table:
            order = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
            kept = once.of_items({name: values[order] for name, values in given.items()})
            ours = once.with_table(user, given, kept, order.argsort())
        else:
            ours = once(user, given)
        torch.testing.assert_close(ours, theirs, atol=1e-6 if theirs.dtype == torch.float32 else 1e-10, rtol=0)


def test_a_cross_layers_columns_of_the_user_are_not_computed_for_candidates() -> None:
    """Its product reads through them to what the layer before read; where they are needed as numbers, it does not."""
    costs = Costs(candidates=1_000, addition=0, call=0)
    given = inputs("up", 3)

    def multiplications(forward: Forward, costs: Costs) -> int:
        module = Small(forward)
        module(**given)
        return reparameterise(module.eval(), given, {name: SOURCES[name] for name in given}, costs).card.pair

    plain = replace(costs, cross=False)
    through: Forward = lambda s, x: s.layer(crosses(x))  # noqa: E731
    whole: Forward = lambda s, x: s.layer(crosses(x).tanh())  # noqa: E731
    assert multiplications(through, costs) < 0.7 * multiplications(through, plain)
    assert multiplications(whole, costs) <= multiplications(whole, plain)
