"""Products of a request's single row with a matrix, as products of the matrix with a vector.

Both give the same. In MKL's strict mode, see :mod:`lake.environment`, a product of one row takes four times as long.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

aten = torch.ops.aten


def as_vectors(graph: fx.Graph) -> None:
    """Replaces the linear layers of one row in a graph of requests."""
    for node in list(graph.nodes):
        if node.target != aten.linear.default or node.kwargs:
            continue
        row, weight, *rest = node.args
        bias = rest[0] if rest else None
        if not isinstance(row, fx.Node) or tuple(row.meta["val"].shape[:-1]) != (1,):
            continue
        result = node.meta["val"]
        with graph.inserting_before(node):
            vector = _call(graph, aten.reshape.default, (row, [-1]), row.meta["val"].reshape(-1))
            product = _call(graph, aten.mv.default, (weight, vector), result.reshape(-1))
            if bias is not None:
                product = _call(graph, aten.add.Tensor, (product, bias), result.reshape(-1))
            made = _call(graph, aten.reshape.default, (product, [1, -1]), result)
        node.replace_all_uses_with(made)
        graph.erase_node(node)


def _call(graph: fx.Graph, operator: Any, args: tuple[Any, ...], value: torch.Tensor) -> fx.Node:
    node = graph.call_function(operator, args)
    node.meta["val"] = value
    return node
