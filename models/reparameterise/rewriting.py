"""The pass: every node of a coloured graph goes through the table of rules into the graphs of the stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import fx

from models.reparameterise import rules
from models.reparameterise.build import Build
from models.reparameterise.card import NodeCard
from models.reparameterise.colouring import Coloured
from models.reparameterise.colours import Stage, stage_of
from models.reparameterise.costs import Costs
from models.reparameterise.independence import named, pointwise
from models.reparameterise.mixes import plain
from models.reparameterise.rules.entrywise import entrywise
from models.reparameterise.rules.table import RULES, Call, Result, as_it_is, repeated_first
from models.reparameterise.shapes import Count, Shape, refused_number
from models.reparameterise.values import Mix, Plain
from schemas.errors import RefusedModelError

assert rules  # its import fills the table
aten = torch.ops.aten
ARRANGES = {
    aten.reshape.default, aten.permute.default, aten.unsqueeze.default, aten.squeeze.dims, aten.expand.default,
    aten.repeat.default, aten.slice.Tensor, aten.select.int, aten.split_with_sizes.default,
}  # fmt: skip
"""Operators whose rules only say where the rows are, also where no product is split."""
NOT_WORTH = "left whole: a split would not pay"


@dataclass(frozen=True)
class Rewritten:
    """A rewritten graph.

    Attributes:
        build: the graphs of the stages.
        outputs: the results, each with a row for each candidate.
        nodes: what became of each node of the ranker's graph.
    """

    build: Build
    outputs: list[Plain]
    nodes: tuple[NodeCard, ...]


def rewritten(graph: Coloured, costs: Costs, types: dict[str, torch.dtype]) -> Rewritten:
    """Rewrites a coloured graph.

    Args:
        graph: the graph.
        costs: the load that it is rewritten for.
        types: type of each input.

    Raises:
        RefusedModelError: the graph computes with the number of rows, or returns something that is no tensor.
    """
    build = Build(costs)
    values: dict[fx.Node, Any] = {}
    cards = []
    outputs: list[Plain] = []
    for node in graph.program.graph.nodes:
        if node.op == "placeholder":
            values[node] = _placeholder(build, node, graph, types)
        elif node.op == "output":
            outputs = [_returned(build, leaf, values) for leaf in node.args[0]]
        elif isinstance(graph.shapes[node], (Shape, list)):
            build.notes = []
            values[node] = _called(build, node, graph, values)
            cards.append(_card(build, node, graph))
        else:
            values[node] = graph.shapes[node]
    return Rewritten(build, outputs, tuple(cards))


def _placeholder(build: Build, node: fx.Node, graph: Coloured, types: dict[str, torch.dtype]) -> Plain:
    name = graph.program.inputs.get(node.name)
    if name is None:
        return build.constant(graph.program.constants[node.name])
    return build.input(name, stage_of(graph.colours[node]), graph.shapes[node], types[name])


def _called(build: Build, node: fx.Node, graph: Coloured, values: dict[fx.Node, Any]) -> Any:
    operator = cast(Any, node.target)
    args = fx.node.map_arg(node.args, lambda n: values[n])
    kwargs = fx.node.map_arg(node.kwargs, lambda n: values[n])
    if not isinstance(operator, torch._ops.OpOverload):
        return operator(*args, **kwargs)  # an entry of several results
    call = Call(operator, args, kwargs, named(operator, args, kwargs), graph.shapes[node])
    _refuse_numbers(call)
    if node in graph.refused:
        return repeated_first(build, call)
    result: Result = None
    if operator in RULES and (build.costs.split or operator in ARRANGES):
        result = RULES[operator](build, call)
    elif pointwise(operator) and build.costs.split:
        result = entrywise(build, call)
    return as_it_is(build, call) if result is None else result


def _refuse_numbers(call: Call) -> None:
    """Refuses a number of rows as an operand; as the end of a slice it is taken where the slice is the whole.

    Raises:
        RefusedModelError: the operator computes with a number of rows.
    """
    if not any(isinstance(argument, Count) for argument in [*call.args, *call.kwargs.values()]):
        return
    of: Any = call.named.get("self")
    if call.operator != aten.slice.Tensor or (of.sizes, of.rows) != (call.result.sizes, call.result.rows):
        raise refused_number(call.operator)


def _returned(build: Build, leaf: Any, values: dict[fx.Node, Any]) -> Plain:
    value = values.get(leaf) if isinstance(leaf, fx.Node) else None
    if not isinstance(value, (Mix, Plain)):
        raise RefusedModelError("the module returns something that is no tensor; return its scores alone")
    return build.full(plain(build, value), Stage.PAIR)


def _card(build: Build, node: fx.Node, graph: Coloured) -> NodeCard:
    refused = graph.refused.get(node, "")
    notes = [note for note in build.notes if note != NOT_WORTH]
    return NodeCard(
        name=node.name,
        operator=str(node.target),
        colour=graph.colours[node],
        rewritten="; ".join(dict.fromkeys(notes)),
        refused=refused or (NOT_WORTH if NOT_WORTH in build.notes else ""),
    )
