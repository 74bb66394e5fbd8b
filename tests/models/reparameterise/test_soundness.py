"""What a colour claims: a tensor does not change when what it does not vary with changes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import fx

from benchmarks._mari_models import RANKERS, SOURCES, Tensors, Widths, ranker, request, tiled
from models.reparameterise.colouring import coloured
from models.reparameterise.colours import Colour
from models.reparameterise.program import Program, exported
from tests.models.reparameterise import random_graphs
from tests.models.reparameterise.random_graphs import programs
from tests.models.reparameterise.test_random_graphs import inputs

WIDTHS = Widths()


def everything(program: Program, given: Mapping[str, torch.Tensor]) -> dict[fx.Node, torch.Tensor]:
    """Every tensor of a graph."""
    found: dict[fx.Node, torch.Tensor] = {}

    class Watched(fx.Interpreter):
        def run_node(self, n: fx.Node) -> object:
            value = super().run_node(n)
            if isinstance(value, torch.Tensor):
                found[n] = value
            return value

    names = [node.name for node in program.graph.nodes if node.op == "placeholder"]
    values = [program.constants[name] if name in program.constants else given[program.inputs[name]] for name in names]
    with torch.inference_mode():
        Watched(fx.GraphModule({}, program.graph)).run(*values)
    return found


def changed(before: dict[fx.Node, torch.Tensor], after: dict[fx.Node, torch.Tensor]) -> set[fx.Node]:
    return {node for node, value in before.items() if not torch.equal(value, after[node])}


@pytest.mark.parametrize("name", RANKERS)
def test_replaced_candidates_leave_the_users_tensors_and_a_replaced_user_leaves_the_items(name: str) -> None:
    module = ranker(name, WIDTHS)
    program = exported(module, tiled(*request(WIDTHS, 3)))
    colours = coloured(program, tiled(*request(WIDTHS, 3)), SOURCES).colours
    user, candidates = request(WIDTHS, 30)
    other_user, other_candidates = request(WIDTHS, 30, seed=1)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(2))
    before = everything(program, tiled(user, candidates))
    permuted: Tensors = {column: values[order] for column, values in candidates.items()}
    for new in (permuted, other_candidates):
        touched = {colours.get(node) for node in changed(before, everything(program, tiled(user, new)))}
        assert touched == {Colour.ITEM, Colour.PAIR}
    touched = {colours.get(node) for node in changed(before, everything(program, tiled(other_user, candidates)))}
    assert touched == {Colour.USER, Colour.PAIR}


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(programs())
def test_colours_of_random_graphs_hold(program: Program) -> None:
    columns, others = inputs(6), inputs(6, seed=9)
    colours = coloured(program, columns, random_graphs.SOURCES).colours
    before = everything(program, columns)
    for source in set(random_graphs.SOURCES.values()):
        new = {
            name: others[name] if random_graphs.SOURCES[name] == source else values for name, values in columns.items()
        }
        for node in changed(before, everything(program, new)):
            assert source.value in colours[node], f"{node} has the colour {colours[node]} and varies with {source}"
