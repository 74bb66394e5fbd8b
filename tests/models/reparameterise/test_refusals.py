from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.reparameterise.colours import Colour, Source
from models.reparameterise.costs import Costs
from models.reparameterise.reparameterise import reparameterise
from schemas.errors import RefusedModelError, UserError

SOURCES = {"user": Source.USER, "item": Source.ITEM}
EXAMPLE = {"user": torch.randn(1, 4).expand(5, -1), "item": torch.randn(5, 4)}


class Small(nn.Module):
    """A ranker whose middle is given."""

    def __init__(self, middle: Callable[[torch.Tensor], torch.Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.middle = middle
        self.parts = nn.ModuleList(parts)
        self.layer = nn.Linear(8, 3)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return self.middle(self.layer(torch.cat([user, item], dim=-1)))


def branch(x: torch.Tensor) -> torch.Tensor:
    return x if x.sum() > 0 else -x


def in_place(x: torch.Tensor) -> torch.Tensor:
    x.mul_(2)
    return x


@pytest.mark.parametrize(
    ("middle", "says"),
    [
        (branch, "depends on values.*return x if x.sum"),
        (in_place, "aten::mul_.*changes a tensor in place"),
        (lambda x: functional.relu(x, inplace=True), "aten::relu_.*inplace=False"),
        (lambda x: functional.dropout(x, 0.5), "aten::dropout.*runs as in training"),
        (lambda x: functional.batch_norm(x, None, None, training=True), "aten::batch_norm.*runs as in training"),
        (lambda x: x + torch.rand_like(x), "aten::rand_like.*random numbers"),
        (lambda x: x[x[:, 0] > 0], "values"),
        (lambda x: x @ x.T, "compares rows with each other"),
        (lambda x: x.reshape(len(x), 3), "number of rows is fixed"),
        (lambda x: x / x.shape[0], "number of rows"),
        (lambda x: x.reshape(3, -1).sum(0), "rows"),
        (lambda x: 0.5, "no tensor|torch.export refuses"),
    ],
)
def test_what_cannot_be_rewritten_is_refused_by_name(middle: Callable[..., torch.Tensor], says: str) -> None:
    with pytest.raises(RefusedModelError, match=says) as refusal:
        reparameterise(Small(middle).eval(), EXAMPLE, SOURCES)
    assert len(str(refusal.value).splitlines()) == 1
    assert isinstance(refusal.value, UserError)


@pytest.mark.parametrize("part", [nn.Dropout(0.5), nn.BatchNorm1d(3)])
def test_a_part_in_training_mode_is_refused_by_name(part: nn.Module) -> None:
    module = Small(part, part)
    with pytest.raises(RefusedModelError, match=rf"training mode.*{type(part).__name__}"):
        reparameterise(module, EXAMPLE, SOURCES)
    reparameterise(module.eval(), EXAMPLE, SOURCES)


def test_every_input_has_a_source_and_the_candidates_have_one() -> None:
    with pytest.raises(RefusedModelError, match=r"^item: say of each"):
        reparameterise(Small(torch.tanh).eval(), EXAMPLE, {"user": Source.USER})
    with pytest.raises(RefusedModelError, match="all candidates would be equal"):
        reparameterise(Small(torch.tanh).eval(), EXAMPLE, dict.fromkeys(EXAMPLE, Source.USER))
    with pytest.raises(RefusedModelError, match="two or more rows"):
        reparameterise(Small(torch.tanh).eval(), {k: v[:1] for k, v in EXAMPLE.items()}, SOURCES)


def test_an_operator_without_a_rule_is_named_in_the_card_and_computed_on_all_rows() -> None:
    class Unknown(nn.Module):
        def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
            of_user = user[:, :, None]
            return torch.cdist(of_user, of_user).sum(1) + item

    module = Unknown().eval()
    once = reparameterise(module, EXAMPLE, SOURCES)
    [node] = [node for node in once.card.nodes if "cdist" in node.operator]
    assert node.colour == Colour.PAIR
    assert once.card.refused == {node.name: "aten._cdist_forward.default: there is no rule for it"}
    torch.testing.assert_close(once({"user": EXAMPLE["user"][:1]}, EXAMPLE), module(**EXAMPLE))


def test_a_split_that_would_not_pay_is_named_in_the_card_and_left_whole() -> None:
    module = Small(torch.tanh).eval()
    small = reparameterise(module, EXAMPLE, SOURCES, Costs(candidates=10))
    assert list(small.card.refused.values()) == ["aten.linear.default: left whole: a split would not pay"]
    large = reparameterise(module, EXAMPLE, SOURCES, Costs(candidates=100_000))
    assert not large.card.refused
    assert large.card.after < small.card.after / 10 * 100_000
    assert [node.rewritten for node in large.card.nodes if "linear" in node.operator] == ["split into 2 products"]
