"""The colour of every node of a graph: a dataflow analysis from the inputs' sources to the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from models.reparameterise.colours import Colour, Source
from models.reparameterise.independence import alike, known, named
from models.reparameterise.program import Program
from models.reparameterise.shapes import Fact, Shape, shapes_of


@dataclass(frozen=True)
class Coloured:
    """A graph with what is known about its nodes.

    Attributes:
        program: the graph.
        shapes: shape of every node.
        colours: colour of every node.
        refused: nodes whose rows are repeated before they run, with the reason.
    """

    program: Program
    shapes: Mapping[fx.Node, Fact]
    colours: Mapping[fx.Node, Colour]
    refused: Mapping[fx.Node, str]


def coloured(program: Program, example: Mapping[str, torch.Tensor], sources: Mapping[str, Source]) -> Coloured:
    """Colours a graph.

    Args:
        program: the graph.
        example: an input by name.
        sources: where each input comes from.
    """
    shapes = shapes_of(program, example)
    colours: dict[fx.Node, Colour] = {}
    refused: dict[fx.Node, str] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            name = program.inputs.get(node.name)
            colours[node] = Colour.CONSTANT if name is None else sources[name].value
        elif node.op == "call_function":
            joined = Colour.CONSTANT
            for operand in node.all_input_nodes:
                if isinstance(shapes[operand], (Shape, list)):
                    joined = joined.joined(colours[operand])
            reason = _reason(node, shapes)
            if reason:
                refused[node] = reason
                joined = Colour.PAIR
            colours[node] = joined
    return Coloured(program, shapes, colours, refused)


def _reason(node: fx.Node, shapes: Mapping[fx.Node, Fact]) -> str:
    """Why an operator needs all rows, or an empty text if it treats each row alike."""
    operator: Any = node.target
    if not isinstance(operator, torch._ops.OpOverload) or not isinstance(shapes[node], (Shape, list)):
        return ""
    if str(operator) == "aten.sym_size.int":
        return ""
    arguments = fx.node.map_arg(named(operator, node.args, node.kwargs), lambda n: shapes[n])
    if alike(operator, arguments, shapes[node]):
        return ""
    return "it mixes rows" if known(operator) else "there is no rule for it"
