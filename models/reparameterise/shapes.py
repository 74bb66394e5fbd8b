"""Shapes of a graph's tensors, and where in them the rows are, from runs without data on other numbers of rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import fx

from models.reparameterise.program import Program
from schemas.errors import RefusedModelError

aten = torch.ops.aten
FEW, MORE, MOST = 3, 5, 8
"""The numbers of rows. An axis whose length differs between the first two holds the rows."""
VIEWS = {aten.view.default, aten.reshape.default, aten._unsafe_view.default}


@dataclass(frozen=True)
class Rows:
    """Where a tensor's rows are.

    Attributes:
        axis: the axis that holds the rows.
        outer: how often all rows are repeated along it, one after the other.
        inner: how many entries each row has along it. So the axis has ``outer * rows * inner`` entries.
    """

    axis: int
    outer: int = 1
    inner: int = 1

    @property
    def each(self) -> int:
        """Entries of the axis for each row."""
        return self.outer * self.inner


@dataclass(frozen=True)
class Shape:
    """A tensor's shape: ``sizes`` for one row, and where the rows are, or None if it has none."""

    sizes: tuple[int, ...]
    rows: Rows | None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.sizes)

    def numel(self, rows: int) -> int:
        """Number of entries of the tensor with so many rows."""
        return math.prod(self.sizes) * (rows if self.rows else 1)


@dataclass(frozen=True)
class Count:
    """A whole number of the graph that varies: ``each`` times the number of rows, plus a constant."""

    each: int
    constant: int


Fact = Any
"""A :class:`Shape`, a :class:`Count`, a list of them, or a number that is the same for any number of rows."""


def refused_number(target: Any) -> RefusedModelError:
    """The refusal of an operator that computes with the number of rows.

    Args:
        target: the operator, or a function of numbers.
    """
    name = getattr(target, "__name__", target) if not isinstance(target, torch._ops.OpOverload) else target
    return RefusedModelError(
        f"{name}: computes with the number of rows, which differs between a user and the candidates"
    )


def shapes_of(program: Program, example: Mapping[str, torch.Tensor]) -> dict[fx.Node, Fact]:
    """The shape of every node of a graph.

    Args:
        program: the graph.
        example: an input by name, each with the rows along the first axis.

    Raises:
        RefusedModelError: a tensor has rows along several axes, or not a multiple of the rows; or a number varies with
            the rows otherwise than a multiple of them, plus a constant.
    """
    few, more, most = (_run(program, example, rows) for rows in (FEW, MORE, MOST))
    found: dict[fx.Node, Fact] = {}
    for node in program.graph.nodes:
        if node.op != "output":
            found[node] = _fact(node, (few[node], more[node], most[node]), found)
    return found


def _run(program: Program, example: Mapping[str, torch.Tensor], rows: int) -> dict[fx.Node, Any]:
    arguments = []
    for node in program.graph.nodes:
        if node.op == "placeholder":
            if node.name in program.constants:
                arguments.append(program.constants[node.name].to("meta"))
            else:
                values = example[program.inputs[node.name]]
                arguments.append(values.new_empty((rows, *values.shape[1:]), device="meta"))
    run = _Measuring(fx.GraphModule({}, program.graph))
    run.run(*arguments)
    return run.seen


class _Measuring(fx.Interpreter):
    """Runs a graph on tensors without data and keeps every result."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.extra_traceback = False
        self.seen: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        try:
            self.seen[n] = super().run_node(n)
        except (RuntimeError, NotImplementedError) as error:
            first = str(error).splitlines()[0]
            raise RefusedModelError(f"{n.target}: its shape depends on values or cannot be told ({first})") from error
        return self.seen[n]

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "device" in kwargs:
            kwargs = {**kwargs, "device": "meta"}
        return super().call_function(target, args, kwargs)


def _fact(node: fx.Node, results: tuple[Any, Any, Any], found: Mapping[fx.Node, Fact]) -> Fact:
    few, more, most = results
    if isinstance(few, torch.Tensor):
        return _shape(node, few.shape, more.shape, found)
    if isinstance(few, (list, tuple)):
        return [_fact(node, each, found) for each in zip(*results, strict=True)]
    if few == more == most:
        return few
    each = (more - few) // (MORE - FEW)
    if not isinstance(few, int) or most != few + each * (MOST - FEW):
        raise refused_number(node.target)
    return Count(each, few - FEW * each)


def _shape(node: fx.Node, few: Sequence[int], more: Sequence[int], found: Mapping[fx.Node, Fact]) -> Shape:
    differing = [axis for axis, (a, b) in enumerate(zip(few, more, strict=True)) if a != b]
    if not differing:
        return Shape(tuple(few), None)
    axis = differing[0]
    each = few[axis] // FEW
    if len(differing) > 1 or few[axis] != FEW * each or more[axis] != MORE * each:
        raise RefusedModelError(
            f"{node.target} compares rows with each other (its result has the shape {tuple(few)} for {FEW} rows): a"
            " candidate's score may not depend on the other candidates"
        )
    sizes = (*few[:axis], each, *few[axis + 1 :])
    of = [found[n] for n in node.all_input_nodes if isinstance(found.get(n), Shape) and found[n].rows]
    if node.target in VIEWS and of:
        return Shape(sizes, _viewed(of[0], sizes, axis))
    if each == 1:
        return Shape(sizes, Rows(axis))
    if node.target == aten.repeat.default and of:
        return Shape(sizes, Rows(axis, each // cast(Rows, of[0].rows).inner, cast(Rows, of[0].rows).inner))
    like = next((shape.rows for shape in of if shape.rows.each == each), Rows(axis, 1, each))
    return Shape(sizes, Rows(axis, like.outer, like.inner))


def _viewed(of: Shape, sizes: tuple[int, ...], axis: int) -> Rows:
    """Rows after a view: what lies before the rows in memory lies before them still.

    Raises:
        RefusedModelError: the view puts parts of different rows into one.
    """
    assert of.rows is not None
    before = math.prod(of.sizes[: of.rows.axis]) * of.rows.outer
    left = math.prod(sizes[:axis])
    if before % left or sizes[axis] % (before // left):
        raise RefusedModelError(f"a view from {of.sizes} to {sizes} puts parts of different rows together")
    outer = before // left
    return Rows(axis, outer, sizes[axis] // outer)
