"""A request's single row goes through products of a matrix with a vector."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.reparameterise.colours import Source
from models.reparameterise.costs import Costs
from models.reparameterise.reparameterise import reparameterise

aten = torch.ops.aten


class Wide(nn.Module):
    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.first = nn.Linear(40, 8, bias=bias)
        self.of_user = nn.Linear(30, 5, bias=bias)

    def forward(self, user: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
        return self.first(torch.cat([user, pair], dim=1)).relu() * self.of_user(user).sum(1, keepdim=True)


@pytest.mark.parametrize("bias", [True, False])
def test_the_requests_graph_multiplies_vectors_and_gives_the_same(bias: bool) -> None:
    torch.manual_seed(0)
    module = Wide(bias).double().eval()
    user, pair = torch.randn(1, 30, dtype=torch.float64), torch.randn(6, 10, dtype=torch.float64)
    example = {"user": user.expand(6, -1).contiguous(), "pair": pair}
    made = reparameterise(module, example, {"user": Source.USER, "pair": Source.PAIR}, Costs(candidates=1_000))
    targets = [node.target for node in made.request.graph.nodes]
    assert targets.count(aten.mv.default) == 2
    assert aten.linear.default not in targets
    assert aten.mv.default not in [node.target for node in made.pair.graph.nodes]
    torch.testing.assert_close(made({"user": user}, {"pair": pair}), module(**example), rtol=1e-12, atol=1e-12)
