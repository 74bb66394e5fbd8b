"""The table of rules, by operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from models.reparameterise.build import Build
from models.reparameterise.colours import join_stages
from models.reparameterise.mixes import plain, pointwise
from models.reparameterise.shapes import VIEWS, Count, Fact, Shape, refused_number
from models.reparameterise.values import Mix, Plain, Value, each_mapped

aten = torch.ops.aten


@dataclass(frozen=True)
class Call:
    """One call of an operator that treats every row alike.

    Attributes:
        operator: the ATen operator.
        args: its arguments in order.
        kwargs: its arguments by name.
        named: all of its arguments by name, those left out with their default.
        shape: shape or shapes of its result.
    """

    operator: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    named: Mapping[str, Any]
    shape: Fact

    @property
    def result(self) -> Shape:
        """Shape of its only result."""
        assert isinstance(self.shape, Shape)
        return self.shape


Result = Value | list[Value] | None
Rule = Callable[[Build, Call], Result]
RULES: dict[Any, Rule] = {}
"""The rule of each operator. A rule returns None where it does not apply."""


def rule(*operators: Any) -> Callable[[Rule], Rule]:
    """Enters a function into the table as the rule of some operators."""

    def enter(function: Rule) -> Rule:
        for operator in operators:
            RULES[operator] = function
        return function

    return enter


def as_it_is(build: Build, call: Call, *, keep_spread: bool = False) -> Value | list[Value]:
    """Computes an operator as the ranker does, in the stage of its operands.

    Args:
        build: the graphs.
        call: the call.
        keep_spread: whether the operator broadcasts, so that spread axes and single rows stay as they are.
    """
    args, kwargs = (_materialised(build, tree) for tree in (call.args, call.kwargs))
    if keep_spread:
        return pointwise(build, call.operator, *args, **kwargs)
    stage = join_stages(value.stage for value in _plains((args, kwargs)))
    args, kwargs = (_full(build, tree, stage.repeats, stage) for tree in (args, kwargs))
    many = -1 if stage.repeats else None
    args, kwargs = (_counted(call.operator, tree, many) for tree in (args, kwargs))
    if isinstance(call.shape, Shape):
        return build.emit(call.operator, *args, rows=call.shape.rows, **kwargs)
    return list(build.emit_several(call.operator, args, kwargs, shapes=call.shape, stage=stage))


def repeated_first(build: Build, call: Call) -> Value | list[Value]:
    """Computes an operator on all rows, as the ranker does: nothing is known of it but what it returned there."""
    from models.reparameterise.colours import Stage

    args, kwargs = (
        _counted(call.operator, _full(build, _materialised(build, tree), True, Stage.PAIR), -1)
        for tree in (call.args, call.kwargs)
    )
    if isinstance(call.shape, Shape):
        return build.emit(call.operator, *args, rows=call.shape.rows, stage=Stage.PAIR, **kwargs)
    return list(build.emit_several(call.operator, args, kwargs, shapes=call.shape, stage=Stage.PAIR))


def _materialised(build: Build, tree: Any) -> Any:
    return each_mapped(tree, lambda leaf: plain(build, leaf) if isinstance(leaf, (Mix, Plain)) else leaf)


def _full(build: Build, tree: Any, many: bool, stage: Any) -> Any:
    def whole(leaf: Any) -> Any:
        if not isinstance(leaf, Plain):
            return leaf
        return build.full(leaf, stage) if many else build.dense(leaf)

    return each_mapped(tree, whole)


def _counted(operator: Any, tree: Any, many: int | None) -> Any:
    """Arguments with numbers of rows put in: of a single row, or -1 where a shape is given for many.

    Raises:
        RefusedModelError: the operator does not take -1 for a size.
    """

    def number(leaf: Any) -> Any:
        if not isinstance(leaf, Count):
            return leaf
        if many is None:
            return leaf.each + leaf.constant
        if operator not in {*VIEWS, aten.expand.default}:
            raise refused_number(operator)
        return many

    return each_mapped(tree, number)


def _plains(tree: Any) -> list[Plain]:
    found: list[Plain] = []
    each_mapped(tree, lambda leaf: found.append(leaf) if isinstance(leaf, Plain) else None)
    return found
