"""Entry by entry: sums stay sums of parts, products with one entry a row become scales, others go piecewise."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch

from models.reparameterise.build import Build
from models.reparameterise.colours import Stage, join_stages
from models.reparameterise.mixes import (
    broadcast_rows,
    broadcast_sizes,
    cut,
    joined,
    operand,
    plain,
    pointwise,
    scaled,
    summed,
)
from models.reparameterise.rules.table import Call, Result, as_it_is
from models.reparameterise.shapes import Shape
from models.reparameterise.values import Mix, Part, Plain, Value

aten = torch.ops.aten
COPIES = {aten.clone.default, aten.alias.default, aten.detach.default, aten.lift_fresh_copy.default}


def entrywise(build: Build, call: Call) -> Result:
    """The rule of every operator that computes entry by entry."""
    if call.operator in COPIES:
        return call.args[0]
    values = [arg for arg in call.args if isinstance(arg, (Mix, Plain))]
    if call.operator in (aten.add.Tensor, aten.sub.Tensor) and len(values) == 2 and not call.kwargs:
        found = _sum(build, call, *values)
    elif any(isinstance(value, Mix) for value in values):
        found = _product(build, call, values) or by_piece(build, call)
    else:
        found = None
    if found is not None:
        return found
    result = as_it_is(build, call, keep_spread=isinstance(call.shape, Shape))
    if call.operator == aten.mul.Tensor and len(values) == 2 and isinstance(result, Plain):
        build.factors[result] = (values[0], values[1])
    return result


def _sum(build: Build, call: Call, one: Value, other: Value) -> Result:
    """A sum of what different stages compute is kept as parts: a product that follows may use them apart."""
    if not call.result.rank or not plain_dtype(one).is_floating_point or plain_dtype(one) != plain_dtype(other):
        return None
    stages = [
        join_stages(part.value.stage for part in x.parts) if isinstance(x, Mix) else x.stage for x in (one, other)
    ]
    if not any(isinstance(x, Mix) for x in (one, other)) and (stages[0] == stages[1] or Stage.CONSTANT in stages):
        return None
    pieces = by_piece(build, call) if any(isinstance(x, Mix) for x in (one, other)) else None
    if isinstance(pieces, Mix):
        return pieces
    factor = 1.0 if call.operator == aten.add.Tensor else -1.0
    return summed(
        build,
        one,
        other,
        factor=factor,
        direct=lambda: pointwise(build, call.operator, plain(build, one), plain(build, other)),
    )


def _product(build: Build, call: Call, values: list[Value]) -> Result:
    """A product of a mix with one entry along its columns is a scale of its parts."""
    if call.operator not in (aten.mul.Tensor, aten.div.Tensor):
        return None
    args = call.args
    mix, other = (args[0], args[1]) if isinstance(args[0], Mix) else (args[1], args[0])
    if call.operator == aten.div.Tensor and mix is not args[0]:
        return None
    if isinstance(other, (int, float)):
        other = build.constant(torch.tensor(float(other), dtype=plain_dtype(mix)))
    if not isinstance(other, Plain) or other.rank > mix.rank:
        return None
    scale = operand(build, other, mix)
    if scale.val.dtype != plain_dtype(mix):
        return None
    if scale.sizes[mix.axis] != 1 or (scale.rows is not None and scale.rows.axis == mix.axis):
        return None
    if call.operator == aten.div.Tensor:
        scale = pointwise(build, aten.reciprocal.default, scale)
    return scaled(build, mix, scale, lambda: pointwise(build, call.operator, *(_of(build, arg) for arg in call.args)))


def _of(build: Build, arg: Any) -> Any:
    return plain(build, arg) if isinstance(arg, (Mix, Plain)) else arg


def plain_dtype(value: Value) -> torch.dtype:
    """The type of a value's entries."""
    return value.parts[0].value.val.dtype if isinstance(value, Mix) else value.val.dtype


def by_piece(build: Build, call: Call) -> Mix | None:
    """Computes an operator for the pieces of a concatenation, each in its own stage.

    Returns:
        None if a mix is not a concatenation, or if no piece is computed in an earlier stage than the whole would be.
    """
    mixes = [arg for arg in call.args if isinstance(arg, Mix)]
    axis, rank, width = mixes[0].axis, mixes[0].rank, mixes[0].width
    if any(m.axis != axis or m.rank != rank or m.width != width or not m.side_by_side for m in mixes):
        return None
    others = [arg for arg in call.args if isinstance(arg, Plain)]
    if any(x.rank > rank for x in others) or any(isinstance(arg, (list, tuple)) for arg in call.args):
        return None
    args = [operand(build, arg, mixes[0]) if isinstance(arg, Plain) else arg for arg in call.args]
    if any(isinstance(arg, Plain) and arg.sizes[axis] not in (1, width) for arg in args):
        return None
    edges = sorted({0, width, *(part.start for mix in mixes for part in mix.parts)})
    stages = [_stages_at(args, start) for start in edges[:-1]]
    edges = [0, *(edge for edge, (a, b) in zip(edges[1:-1], pairwise(stages), strict=True) if a != b), width]
    if all(join_stages(at) == Stage.PAIR for at in stages) or len(edges) == 2:
        return None
    parts = []
    for start, stop in pairwise(edges):
        piece = [_between(build, arg, axis, range(start, stop)) for arg in args]
        parts.append(Part(start, stop - start, pointwise(build, call.operator, *piece, **call.kwargs)))
    tensors = [arg for arg in args if isinstance(arg, (Mix, Plain))]
    sizes = broadcast_sizes(*(x.sizes for x in tensors))
    dense = tuple(Part(part.start, part.width, build.dense(part.value, axis)) for part in parts)
    return Mix(axis, dense, sizes, broadcast_rows(tensors, rank))


def _stages_at(args: list[Any], start: int) -> list[Stage]:
    """The stage of each operand at a column. Neighbours whose operands are of the same stages stay one piece."""
    stages = []
    for arg in args:
        if isinstance(arg, Mix):
            part = next(part for part in reversed(arg.parts) if part.start <= start)
            stages.append(part.value.stage)
        elif isinstance(arg, Plain):
            stages.append(arg.stage)
    return stages


def _between(build: Build, arg: Any, axis: int, places: range) -> Any:
    if isinstance(arg, Mix):
        pieces = []
        for part in arg.parts:
            start, stop = max(places.start, part.start), min(places.stop, part.start + part.width)
            if start < stop:
                pieces.append(cut(build, part.value, axis, range(start - part.start, stop - part.start)))
        return joined(build, pieces, axis)
    if isinstance(arg, Plain) and arg.sizes[axis] > 1:
        return cut(build, arg, axis, places)
    return arg
