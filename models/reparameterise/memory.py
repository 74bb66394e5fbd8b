"""Sums and activations are written over tensors that nothing else reads, so that large results take no new memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

aten = torch.ops.aten
OVER = {
    aten.add.Tensor: aten.add_.Tensor,
    aten.sub.Tensor: aten.sub_.Tensor,
    aten.mul.Tensor: aten.mul_.Tensor,
    aten.relu.default: aten.relu_.default,
    aten.sigmoid.default: aten.sigmoid_.default,
    aten.tanh.default: aten.tanh_.default,
    aten.clamp.default: aten.clamp_.default,
}
"""Operators, and the form of each that writes over its first operand."""
FRESH = {aten.linear.default, aten.addmm.default, aten.index_select.default, *OVER, *OVER.values()}
"""Operators whose result shares its memory with nothing else."""
EITHER = {aten.add.Tensor, aten.mul.Tensor}
"""Operators whose operands may change places."""


def reuse(graph: fx.Graph) -> None:
    """Lets operators write over an operand that is a fresh result, of their result's shape, and read by them alone."""
    for node in graph.nodes:
        if node.op != "call_function" or node.target not in OVER or node.kwargs:
            continue
        operands = list(node.args)
        if node.target in EITHER and not _free(operands[0], node) and _free(operands[1], node):
            operands.reverse()
        if _free(operands[0], node):
            node.target = OVER[node.target]
            node.args = tuple(operands)


def _free(operand: Any, reader: fx.Node) -> bool:
    if not isinstance(operand, fx.Node) or not _fresh(operand) or list(operand.users) != [reader]:
        return False
    own, result = operand.meta["val"], reader.meta["val"]
    twice = sum(argument is operand for argument in reader.args) > 1
    return own.shape == result.shape and own.dtype == result.dtype and not twice


def _fresh(node: fx.Node) -> bool:
    """Whether a result shares its memory with nothing that is read again; another shape of such a result too."""
    if node.target != aten.reshape.default:
        return node.target in FRESH
    of = node.args[0]
    return isinstance(of, fx.Node) and len(of.users) == 1 and _fresh(of)
