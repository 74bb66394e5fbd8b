"""The front end: a torch module becomes a graph of core ATen operators, or is refused with what stands in the way."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import fx, nn
from torch.utils._pytree import TreeSpec, tree_flatten

from schemas.errors import RefusedModelError

aten = torch.ops.aten
WHOLE = (
    aten.linear.default,
    aten.matmul.default,
    aten.einsum.default,
    aten.layer_norm.default,
    aten.batch_norm.default,
    aten.bilinear.default,
    aten.stack.default,
    aten.scaled_dot_product_attention.default,
)
"""Operators that are not decomposed further. A user's single row can stay one row in them."""
SAYS_WHETHER = {aten.dropout.default: 2, aten.native_dropout.default: 2, aten.batch_norm.default: 5}
"""Operators that differ in training, with the place of the argument that turns training on."""
PROBABILITY = {aten.scaled_dot_product_attention.default: 4}
"""Operators with a dropout probability in place of a switch, and its place among the arguments."""


@dataclass(frozen=True)
class Program:
    """A ranker as a graph.

    Attributes:
        graph: placeholders, calls of ATen operators, one output.
        constants: weights and buffers by the name of their placeholder.
        inputs: name of the ranker's input, by the name of its placeholder.
        spec: how the outputs are nested.
    """

    graph: fx.Graph
    constants: Mapping[str, torch.Tensor]
    inputs: Mapping[str, str]
    spec: TreeSpec


class _Called(nn.Module):
    """Calls a module by the names of its inputs, so that its inputs have an order."""

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.module(**dict(zip(self.names, tensors, strict=True)))


def exported(module: nn.Module, example: Mapping[str, torch.Tensor]) -> Program:
    """Exports a module with any number of rows and decomposes it to core ATen operators.

    Args:
        module: a ranker in evaluation mode, called as ``module(**inputs)``; row i of its output depends on row i of its
            inputs.
        example: an input by name, each with the same two or more rows.

    Raises:
        RefusedModelError: the module is in training mode, changes tensors in place, draws random numbers, fixes the
            number of rows, or branches on values.
    """
    _refuse_training(module)
    called = _Called(module, tuple(example))
    rows = torch.export.Dim("rows")
    try:
        with torch.no_grad():
            first = torch.export.export(
                called, tuple(example.values()), dynamic_shapes={"tensors": tuple({0: rows} for _ in example)}
            )
    except Exception as error:
        raise _reason(module, error) from error
    for node in first.graph.nodes:
        if node.op == "call_function":
            _refuse(node)
    table = torch.export.default_decompositions()
    for operator in WHOLE:
        table.pop(operator, None)
    program = first
    if not all(_is_core(node) for node in first.graph.nodes):
        with torch.no_grad():
            program = first.run_decompositions(table)  # two thirds of the time of an export
    signature = program.graph_signature
    if signature.buffers_to_mutate or signature.user_inputs_to_mutate:
        changed = next(iter({**signature.buffers_to_mutate, **signature.user_inputs_to_mutate}.values()))
        raise RefusedModelError(f"the module changes {changed} when it is called; keep nothing from call to call")
    held = {**program.state_dict, **program.constants}
    lifted = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    constants = {name: cast(torch.Tensor, held[source]).detach() for name, source in lifted.items()}
    _tidy(program.graph)
    inputs = dict(zip(signature.user_inputs, example, strict=True))
    with torch.no_grad():
        spec = tree_flatten(module(**example))[1]
    return Program(program.graph, constants, cast(dict[str, str], inputs), spec)


def _is_core(node: fx.Node) -> bool:
    """Whether a node needs no decomposition: it calls nothing, or an operator of the core or one that stays whole."""
    operator = node.target
    if node.op != "call_function":
        return True
    if not isinstance(operator, torch._ops.OpOverload) or operator in SAYS_WHETHER:
        return False
    return operator in WHOLE or torch.Tag.core in operator.tags


def _refuse_training(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if part.training and not list(part.children()):
            where = f"{type(part).__name__} at {name or 'the root'}"
            raise RefusedModelError(f"the module is in training mode ({where}): call eval() before it is rewritten")


def _refuse(node: fx.Node) -> None:
    operator = node.target
    if not isinstance(operator, torch._ops.OpOverload):
        if isinstance(operator, torch._ops.HigherOrderOperator):
            raise RefusedModelError(
                f"{operator.name()}{_place(node)}: a branch or loop in the graph; write it with where"
            )
        return
    if operator._schema.is_mutable:
        raise RefusedModelError(
            f"{operator.name()}{_place(node)} changes a tensor in place: use the form without the underscore, or"
            " inplace=False"
        )
    switch = SAYS_WHETHER.get(operator)
    on = switch is not None and len(node.args) > switch and node.args[switch] is True
    probability = PROBABILITY.get(operator)
    drops = probability is not None and len(node.args) > probability and node.args[probability] != 0
    if on or drops or node.kwargs.get("dropout_p"):
        raise RefusedModelError(f"{operator.name()}{_place(node)} runs as in training: pass training=self.training")
    if torch.Tag.nondeterministic_seeded in operator.tags and switch is None and probability is None:
        raise RefusedModelError(f"{operator.name()}{_place(node)} draws random numbers: scores would not be repeatable")


def _place(node: fx.Node) -> str:
    """Where in the module an operator stands."""
    stack = node.meta.get("nn_module_stack") or {}
    names = [str(path).removeprefix("L['self'].").removeprefix("module.") for path, _ in stack.values() if path]
    return f" in {names[-1]}" if names and names[-1] not in {"module", ""} else ""


def _reason(module: nn.Module, error: Exception) -> RefusedModelError:
    """Why the export failed, in one line that names the user's line of code where there is one."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "torch" not in Path(frame.filename).parts]
    place = f" at {Path(own[-1].filename).name}:{own[-1].lineno}, {own[-1].line}" if len(own) > 1 else ""
    text = str(error)
    name = type(module).__name__
    if "data-dependent" in text or "GuardOnDataDependent" in type(error).__name__:
        return RefusedModelError(f"{name}: a branch or a size depends on values{place}; write it with torch.where")
    if "specialized" in text or "Constraints violated" in text:
        return RefusedModelError(
            f"{name}: the number of rows is fixed, for example by len(x) or int(x.shape[0]); use x.shape[0] as it is"
        )
    first = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return RefusedModelError(f"{name}: torch.export refuses the module{place}: {first.strip()}")


def _tidy(graph: fx.Graph) -> None:
    """Removes checks, which compute nothing, and lets views copy: strides differ between numbers of rows."""
    for node in reversed(graph.nodes):
        if node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default
        if node.op == "call_function" and not node.users and "assert" in str(node.target):
            graph.erase_node(node)
    graph.eliminate_dead_code()
