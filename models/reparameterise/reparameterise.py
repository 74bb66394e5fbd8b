"""Rewrites a trained ranker so that it computes the same scores from fewer multiplications (MaRI, arXiv 2602.23105).

A ranker scores many candidates of one user. As it is trained, the user's part is repeated for each of them. The pass
exports the ranker to a graph, colours every tensor by what it varies with, and moves each product into the stage of its
operands: once a request, once an item, once a candidate. The formulation as a dataflow analysis is this project's; the
paper's own names of colours and steps could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import fx, nn

from models.reparameterise.card import Card
from models.reparameterise.colouring import Coloured, coloured
from models.reparameterise.colours import Source, Stage, stage_of
from models.reparameterise.costs import Costs, multiplications
from models.reparameterise.independence import named
from models.reparameterise.program import Program, exported
from models.reparameterise.ranker import ReparameterisedRanker, finished
from models.reparameterise.rewriting import Rewritten, rewritten
from models.reparameterise.shapes import Shape
from schemas.errors import RefusedModelError


def reparameterise(
    module: nn.Module,
    example: Mapping[str, torch.Tensor],
    sources: Mapping[str, Source],
    costs: Costs | None = None,
) -> ReparameterisedRanker:
    """Rewrites a ranker; the ranker itself is not changed.

    Args:
        module: a ranker in evaluation mode, called as ``module(**inputs)``. Row i of its result is the score of
            candidate i and depends on row i of the inputs alone. Its weights are copied where they are cut, so a ranker
            that is trained further has to be rewritten again.
        example: each input by name, in the ranker's own form: the user's repeated for two or more candidates.
        sources: where each input comes from.
        costs: the load that it is rewritten for.

    Raises:
        RefusedModelError: the ranker holds something that cannot be rewritten, or an input has no source.
    """
    _check(example, sources)
    return of_program(exported(module, example), example, sources, costs or Costs())


def of_program(
    program: Program, example: Mapping[str, torch.Tensor], sources: Mapping[str, Source], costs: Costs
) -> ReparameterisedRanker:
    """Rewrites an exported ranker; see :func:`reparameterise`."""
    graph = coloured(program, example, sources)
    types = {name: values.dtype for name, values in example.items()}
    done, modules, names, counts = _rewritten(graph, costs, types)
    if done.build.reads_through:  # whether a cross layer is read elsewhere too is known only now
        other = _rewritten(graph, replace(costs, cross=False), types)
        if _of_request(other[3], costs) < _of_request(counts, costs):
            done, modules, names, counts = other
    before, user_once = _of_ranker(graph, costs)
    card = Card(
        candidates=costs.candidates, nodes=done.nodes, before=before, user_once=user_once,
        request=counts[Stage.REQUEST], item=counts[Stage.ITEM], pair=counts[Stage.PAIR],
    )  # fmt: skip
    return ReparameterisedRanker(modules, names, program.spec, card)


def _rewritten(
    graph: Coloured, costs: Costs, types: dict[str, torch.dtype]
) -> tuple[Rewritten, dict[Stage, fx.GraphModule], dict[Stage, list[str]], dict[Stage, int]]:
    """The rewritten graph, the stages' modules, the names of what they take, and their multiplications."""
    done = rewritten(graph, costs, types)
    modules, names = finished(done.build, done.outputs)
    return done, modules, names, {stage: _multiplications(module.graph) for stage, module in modules.items()}


def _of_request(counts: Mapping[Stage, int], costs: Costs) -> int:
    """Multiplications when a request is scored."""
    return counts[Stage.REQUEST] + counts[Stage.PAIR] + (0 if costs.items_once else counts[Stage.ITEM])


def _check(example: Mapping[str, torch.Tensor], sources: Mapping[str, Source]) -> None:
    if missing := set(example) ^ set(sources):
        raise RefusedModelError(
            f"{min(missing)}: say of each of the ranker's inputs, and of no other, where it is from"
        )
    rows = {name: len(values) if values.ndim else 0 for name, values in example.items()}
    if len(set(rows.values())) != 1 or min(rows.values()) < 2:
        raise RefusedModelError(f"the example needs the same two or more rows in every input, and has {rows}")
    if not any(source in (Source.ITEM, Source.PAIR) for source in sources.values()):
        raise RefusedModelError("no input is the item's or the pair's; all candidates would be equal")


def _multiplications(graph: fx.Graph) -> int:
    """Multiplications of a graph whose nodes carry tensors of the costs' shapes."""
    total = 0
    for node in graph.nodes:
        if node.op == "call_function" and isinstance(node.meta["val"], torch.Tensor):
            operands = [n.meta["val"] for n in node.all_input_nodes if isinstance(n.meta["val"], torch.Tensor)]
            total += multiplications(node.target, _ordered(node, operands), node.meta["val"], _equation(node))
    return total


def _ordered(node: fx.Node, operands: list[torch.Tensor]) -> list[torch.Tensor]:
    """The operands with one that occurs twice (``x @ x``) counted twice."""
    found: list[torch.Tensor] = []
    fx.node.map_arg((node.args, node.kwargs), lambda n: found.append(n.meta["val"]))
    return [x for x in found if isinstance(x, torch.Tensor)] or operands


def _equation(node: fx.Node) -> str:
    return node.args[0] if node.args and isinstance(node.args[0], str) else ""


def _of_ranker(graph: Coloured, costs: Costs) -> tuple[int, int]:
    """Multiplications of the ranker as it is, and with nodes that depend on the request alone computed once."""
    before = user_once = 0
    for node in graph.program.graph.nodes:
        shape = graph.shapes.get(node)
        if node.op != "call_function" or not isinstance(shape, Shape):
            continue
        stage = stage_of(graph.colours[node])
        counted = [_counted(node, graph, rows) for rows in (costs.candidates, costs.candidates if stage.repeats else 1)]
        if stage != Stage.CONSTANT:
            before += counted[0]
            user_once += counted[1]
    return before, user_once


def _counted(node: fx.Node, graph: Coloured, rows: int) -> int:
    arguments = named(node.target, node.args, node.kwargs) if isinstance(node.target, torch._ops.OpOverload) else {}
    shapes: list[Any] = []
    fx.node.map_arg(arguments, lambda n: shapes.append(graph.shapes[n]))
    tensors = [_empty(shape, rows) for shape in shapes if isinstance(shape, Shape)]
    return multiplications(node.target, tensors, _empty(graph.shapes[node], rows), _equation(node))


def _empty(shape: Shape, rows: int) -> torch.Tensor:
    sizes = list(shape.sizes)
    if shape.rows is not None:
        sizes[shape.rows.axis] *= rows
    return torch.empty(sizes, device="meta")
