"""Builds the graphs of the stages: each operator goes into the stage of its operands."""

from __future__ import annotations

import operator as operator_
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx

from models.reparameterise.by_item import by_item
from models.reparameterise.colours import Stage, join_stages
from models.reparameterise.costs import Costs
from models.reparameterise.shapes import Rows, Shape
from models.reparameterise.values import Mix, Plain, Value, each_mapped, plains
from schemas.errors import RefusedModelError

aten = torch.ops.aten
LATER = (Stage.REQUEST, Stage.ITEM, Stage.PAIR)
"""The stages that have a graph."""


@dataclass(frozen=True)
class _Number:
    """The number of rows of a stage, as a node of its graph."""

    node: fx.Node


Columns = tuple[range, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """A product with constant weights, as the rule that computed it saw it.

    Attributes:
        value: what was multiplied, shape (rows, columns).
        weight: shape (outputs, columns).
        bias: shape (outputs,), or None.
        some: computes some of the outputs alone.
    """

    value: Value
    weight: Plain
    bias: Plain | None
    some: Callable[[Columns], Plain]


class Build:
    """The graphs of a rewritten ranker while they are built.

    Args:
        costs: the load that the ranker is rewritten for.
    """

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self.graphs = {stage: fx.Graph() for stage in LATER}
        self.constants: dict[str, torch.Tensor] = {}
        self.inputs: dict[Stage, dict[str, Plain]] = {stage: {} for stage in LATER}
        self.crossing: dict[Plain, fx.Node] = {}
        """Nodes of the pairs' graph that stand for results of the other two."""
        self.materialised: dict[Mix, Plain] = {}
        self.joined: dict[tuple[int, tuple[Plain, ...]], Plain] = {}
        self.scaled: dict[tuple[Plain, Plain], Plain] = {}
        self._widened: dict[tuple[Plain, tuple[int, ...], Rows | None], Plain] = {}
        self.factors: dict[Plain, tuple[Value, Value]] = {}
        """The two factors of tensors that are products entry by entry: a sum over them is one matrix product."""
        self.layers: dict[Plain, Layer] = {}
        """How tensors with rows for items or candidates were made by a product with constant weights."""
        self.pieces: dict[tuple[Plain, int], Plain] = {}
        """Columns of products entry by entry that were computed for themselves, by the first of them."""
        self.outputs: dict[tuple[Layer, Columns], tuple[Plain | None, Plain]] = {}
        """Outputs of layers: what they are of the request's, and their weights for candidates."""
        self.reads_through = False
        """Whether a product reads through a cross layer."""
        self.by_item: dict[Plain, Plain] = {}
        self.notes: list[str] = []
        """What rules did with the operator at hand."""
        self._attributes: dict[tuple[Stage, int], fx.Node] = {}
        self._numbers: dict[Stage, _Number] = {}

    def constant(self, tensor: torch.Tensor) -> Plain:
        """A tensor that depends on no input."""
        return Plain(Stage.CONSTANT, None, tensor, tuple(tensor.shape), None)

    def input(self, name: str, stage: Stage, shape: Shape, dtype: torch.dtype) -> Plain:
        """An input of the ranker, with its rows along the first axis."""
        node = self.graphs[stage].placeholder(name)
        rows = self.costs.candidates if stage.repeats else 1
        val = torch.empty((rows, *shape.sizes[1:]), dtype=dtype, device="meta")
        node.meta["val"] = val
        self.inputs[stage][name] = Plain(stage, node, val, shape.sizes, shape.rows)
        return self.inputs[stage][name]

    def emit(
        self,
        operator: Any,
        *args: Any,
        rows: Rows | None,
        sizes: Sequence[int] | None = None,
        stage: Stage | None = None,
        **kwargs: Any,
    ) -> Plain:
        """Adds a call with one result to the graph of its operands' stage; with constants alone, it runs now.

        Args:
            operator: an ATen operator.
            *args: its arguments, with a :class:`Plain` in place of each tensor.
            rows: where the rows of the result are.
            sizes: shape of the result for one row; None where no axis is spread.
            stage: a later stage than the operands'.
            **kwargs: its arguments by name.
        """
        at = join_stages(plain.stage for plain in plains((args, kwargs))) if stage is None else stage
        node, result = self._call(at, operator, args, kwargs)
        found = Plain(at, node, result, _sizes(result, rows) if sizes is None else tuple(sizes), rows)
        if at.repeats and rows is not None and result.shape[rows.axis] == rows.each:
            return self._grown(found, at)  # a user's row met a number that all candidates share, such as their mean
        return found

    def emit_several(
        self, operator: Any, args: Any, kwargs: Mapping[str, Any], *, shapes: Sequence[Shape], stage: Stage
    ) -> list[Plain]:
        """Adds a call with several results; see :meth:`emit`."""
        node, results = self._call(stage, operator, args, kwargs)
        found = []
        for place, (result, shape) in enumerate(zip(results, shapes, strict=True)):
            item = None
            if node is not None:
                item = self.graphs[stage].call_function(operator_.getitem, (node, place))
                item.meta["val"] = result
            found.append(Plain(stage, item, result, _sizes(result, shape.rows), shape.rows))
        return found

    def _call(
        self, stage: Stage, operator: Any, args: Any, kwargs: Mapping[str, Any]
    ) -> tuple[fx.Node | None, Any]:  # fmt: skip
        with torch.no_grad():
            if stage == Stage.CONSTANT:
                return None, operator(*each_mapped(args, _value), **each_mapped(kwargs, _value))
            without_data = {name: "meta" if name == "device" else value for name, value in kwargs.items()}
            result = operator(*each_mapped(args, self._empty), **each_mapped(without_data, self._empty))

        def node_of(leaf: Any) -> Any:
            return self.node(leaf, stage)

        node = self.graphs[stage].call_function(operator, each_mapped(args, node_of), each_mapped(kwargs, node_of))
        node.meta["val"] = result
        return node, result

    def _empty(self, leaf: Any) -> Any:
        if isinstance(leaf, Plain):
            return leaf.val.to("meta")
        return self.costs.candidates if isinstance(leaf, _Number) else leaf

    def node(self, leaf: Any, stage: Stage) -> Any:
        """An argument as a stage's graph has it: the node of a tensor, and everything else as it is."""
        if isinstance(leaf, _Number):
            return leaf.node
        if not isinstance(leaf, Plain):
            return leaf
        if leaf.stage == stage:
            return leaf.node
        if leaf.stage == Stage.CONSTANT:
            return self._attribute(leaf, stage)
        if leaf.stage == Stage.ITEM and leaf.rows not in (None, Rows(0)):
            return by_item(self, leaf).node
        return self.crossed(leaf)

    def _attribute(self, plain: Plain, stage: Stage) -> fx.Node:
        key = (stage, id(plain.val))
        if key not in self._attributes:
            name = f"constant_{len(self.constants)}"
            self.constants[name] = plain.val
            node = self.graphs[stage].get_attr(name)
            node.meta["val"] = plain.val.to("meta")
            self._attributes[key] = node
        return self._attributes[key]

    def crossed(self, plain: Plain) -> fx.Node:
        """The node of the pairs' graph that stands for a result of the request's or the items' graph."""
        if plain not in self.crossing:
            node = self.graphs[Stage.PAIR].placeholder(f"{plain.stage.name.lower()}_{len(self.crossing)}")
            node.meta["val"] = plain.val
            self.crossing[plain] = node
        return self.crossing[plain]

    def dense(self, plain: Plain, *axes: int) -> Plain:
        """A tensor without spread axes; with ``axes``, without these."""
        chosen = [axis for axis in (axes or range(plain.rank)) if plain.spread(axis)]
        if not chosen:
            return plain
        shape = [plain.sizes[axis] if axis in chosen else size for axis, size in enumerate(plain.val.shape)]
        if plain.rows is not None:
            shape[plain.rows.axis] = -1
        return self.emit(aten.expand.default, plain, shape, rows=plain.rows, sizes=plain.sizes)

    def widened(self, plain: Plain, sizes: tuple[int, ...], rows: Rows | None) -> Plain:
        """A tensor whose axes of 1 stand for more equal entries; the same object each time, so that it is found again.

        Args:
            plain: the tensor.
            sizes: its shape for one row from now on.
            rows: where its rows are from now on. A number of all candidates gets a row for each.
        """
        if (plain.sizes, plain.rows) == (sizes, rows):
            return plain
        key = (plain, sizes, rows)
        if key not in self._widened:
            wide = replace(plain, sizes=sizes, rows=rows)
            grows = plain.rows is None and rows is not None and plain.stage.repeats
            self._widened[key] = self._grown(wide, plain.stage) if grows else wide
        return self._widened[key]

    def repeated(self, plain: Plain, stage: Stage) -> Plain:
        """A tensor with a row for each item or candidate in place of one row for all; others are returned as given."""
        if not plain.single or not stage.repeats:
            return plain
        return self._grown(plain, stage)

    def _grown(self, plain: Plain, stage: Stage) -> Plain:
        """A tensor with its one row repeated."""
        rows, number = plain.rows, self._number(stage)
        assert rows is not None
        before, after = list(plain.val.shape[: rows.axis]), list(plain.val.shape[rows.axis + 1 :])
        if rows.each == 1:
            return self.emit(
                aten.expand.default, plain, [*before, number, *after], rows=rows, sizes=plain.sizes, stage=stage
            )
        split = [*before, rows.outer, 1, rows.inner, *after]
        apart = self.emit(aten.reshape.default, plain, split, rows=None)
        wide = [*before, rows.outer, number, rows.inner, *after]
        many = self.emit(aten.expand.default, apart, wide, rows=Rows(rows.axis + 1), stage=stage)
        return self.emit(aten.reshape.default, many, [*before, -1, *after], rows=rows, sizes=plain.sizes, stage=stage)

    def full(self, plain: Plain, stage: Stage) -> Plain:
        """A tensor as the ranker itself has it in a stage: without spread axes, with all rows."""
        return self.repeated(self.dense(plain), stage)

    def _number(self, stage: Stage) -> _Number:
        """The number of rows of a stage.

        Raises:
            RefusedModelError: no input has a row for each candidate.
        """
        if stage not in self._numbers:
            own = list(self.inputs[stage].values()) or list(self.inputs[Stage.ITEM].values())
            if not own:
                raise RefusedModelError(
                    "no input is declared as the item's or the pair's; all candidates would be equal"
                )
            smallest = min(own, key=lambda plain: plain.val.numel())
            node = self.node(smallest, stage)
            size = self.graphs[stage].call_function(aten.sym_size.int, (node, 0))
            size.meta["val"] = self.costs.candidates
            self._numbers[stage] = _Number(size)
        return self._numbers[stage]


def _sizes(val: torch.Tensor, rows: Rows | None) -> tuple[int, ...]:
    """A tensor's shape for one row, where no axis is spread."""
    return tuple(rows.each if rows and axis == rows.axis else size for axis, size in enumerate(val.shape))


def _value(leaf: Any) -> Any:
    return leaf.val if isinstance(leaf, Plain) else leaf
