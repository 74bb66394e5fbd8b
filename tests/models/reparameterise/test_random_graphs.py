from __future__ import annotations

from collections.abc import Mapping

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import fx

from models.reparameterise.colours import Source
from models.reparameterise.costs import Costs
from models.reparameterise.program import Program
from models.reparameterise.reparameterise import of_program
from tests.models.reparameterise.random_graphs import INPUTS, SOURCES, programs

ROWS = 6


def inputs(rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Inputs of one request, the user's and the moment's repeated."""
    draw = torch.Generator().manual_seed(seed)
    found = {}
    for name, (source, shape) in INPUTS.items():
        of_request = source in (Source.USER, Source.MOMENT)
        size = (1 if of_request else rows, *shape)
        if name == "ids":
            values = torch.randint(0, 6, size, generator=draw)
        else:
            values = torch.randn(size, generator=draw, dtype=torch.float64)
        found[name] = values.expand(rows, *shape).contiguous()
    return found


def run(program: Program, given: Mapping[str, torch.Tensor]) -> tuple[tuple[torch.Tensor, ...], float]:
    """The results of the graph itself, and the largest number in it."""
    everything: list[torch.Tensor] = []

    class Watched(fx.Interpreter):
        def run_node(self, n: fx.Node) -> object:
            value = super().run_node(n)
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                everything.append(value)
            return value

    names = [node.name for node in program.graph.nodes if node.op == "placeholder"]
    values = [program.constants[name] if name in program.constants else given[program.inputs[name]] for name in names]
    results = Watched(fx.GraphModule({}, program.graph)).run(*values)
    return results, max(float(value.abs().max()) for value in everything)


COSTS = (
    Costs(candidates=100, addition=0, call=0, items_once=True),
    Costs(candidates=100, addition=0, call=0),
    Costs(candidates=100, addition=2, call=100),
)
"""Everything is split, with and without a table of items, or only what pays on graphs as small as these."""


@settings(max_examples=320, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(programs(), st.sampled_from(COSTS))
def test_every_graph_gives_the_same_results(program: Program, costs: Costs) -> None:
    columns = inputs(ROWS, seed=1)
    theirs, largest = run(program, columns)
    user = {name: columns[name][:1] for name, of in SOURCES.items() if of in (Source.USER, Source.MOMENT)}
    ours = of_program(program, columns, SOURCES, costs)(user, columns)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert float((one - other).abs().max()) <= 1e-12 * largest
