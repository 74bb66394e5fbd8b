"""Operators that move entries: a concatenation becomes a mix, and a mix stays one through changes of its axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from models.reparameterise.build import Build
from models.reparameterise.colours import join_stages
from models.reparameterise.mixes import joined, plain, widened
from models.reparameterise.rules.table import Call, Result, rule
from models.reparameterise.shapes import VIEWS, Rows, Shape
from models.reparameterise.values import Mix, Part, Plain, Value

aten = torch.ops.aten


@rule(aten.cat.default)
def concatenation(build: Build, call: Call) -> Result:
    """Tensors of several stages side by side stay parts of their stages."""
    values: list[Value] = call.named["tensors"]
    shape, axis = call.result, call.named["dim"] % call.result.rank
    stages = [join_stages(p.value.stage for p in x.parts) if isinstance(x, Mix) else x.stage for x in values]
    mixes = [x for x in values if isinstance(x, Mix)]
    spread = any(isinstance(x, Plain) and any(x.spread(a) for a in range(x.rank)) for x in values)
    if (len(set(stages)) == 1 and not mixes and not spread) or any(mix.axis != axis for mix in mixes):
        return None
    if any(x.rank != shape.rank for x in values):
        return None  # torch skips empty tensors of one axis
    parts: list[Part] = []
    start = 0
    for value in values:
        if isinstance(value, Mix):
            parts += [replace(part, start=part.start + start) for part in value.parts]
        else:
            parts.append(Part(start, value.sizes[axis], build.dense(value, axis)))
        start += value.sizes[axis]
    return Mix(
        axis, tuple(parts), shape.sizes, shape.rows, lambda: joined(build, [plain(build, x) for x in values], axis)
    )


@rule(aten.stack.default)
def stacked(build: Build, call: Call) -> Result:
    """Tensors along a new axis: a concatenation of tensors with an axis of 1 more."""
    axis = call.named["dim"] % call.result.rank
    values = [added_axis(build, value, axis) for value in call.named["tensors"]]
    result = concatenation(build, replace(call, named={"tensors": values, "dim": axis}))
    if result is not None:
        return result
    return joined(build, [plain(build, value) for value in values], axis)


@rule(*VIEWS)
def view(build: Build, call: Call) -> Result:
    """A view; of a mix, one that keeps the columns of each part together."""
    value, shape = call.args[0], call.result
    if isinstance(value, Plain):
        return _viewed(build, value, shape)
    found = _columns_after(value, shape)
    if found is None:
        return _viewed(build, plain(build, value), shape)
    axis, each, unit = found
    parts = []
    for part in value.parts:
        width = part.width * each // unit
        sizes = (*shape.sizes[:axis], width, *shape.sizes[axis + 1 :])
        viewed = _viewed(build, part.value, Shape(sizes, shape.rows if part.value.rows else None))
        parts.append(Part(part.start * each // unit, width, viewed, part.factor))
    return Mix(axis, tuple(parts), shape.sizes, shape.rows)


def _columns_after(mix: Mix, shape: Shape) -> tuple[int, int, int] | None:
    """The axis of the columns after a view, and the entries of a column before and after; None if parts are cut."""
    if any(part.scale is not None for part in mix.parts):
        return None
    before, each = math.prod(mix.sizes[: mix.axis]), math.prod(mix.sizes[mix.axis + 1 :])
    if mix.rows is not None and (mix.rows.axis >= mix.axis or shape.rows is None):
        return None
    for axis, size in enumerate(shape.sizes):
        if math.prod(shape.sizes[:axis]) == before and size != 1:
            unit = math.prod(shape.sizes[axis + 1 :])
            whole = all(part.start * each % unit == 0 and part.width * each % unit == 0 for part in mix.parts)
            own = shape.rows is None or shape.rows.axis < axis
            return (axis, each, unit) if whole and own else None
    return None


def _viewed(build: Build, value: Plain, shape: Shape) -> Plain:
    value = build.dense(value)
    sizes = list(shape.sizes)
    if shape.rows is not None:
        sizes[shape.rows.axis] = -1
    return build.emit(aten.reshape.default, value, sizes, rows=shape.rows)


@rule(aten.permute.default)
def permute(build: Build, call: Call) -> Result:
    """Axes in another order."""
    return permuted(build, call.args[0], call.args[1])


def permuted(build: Build, value: Value, order: Sequence[int]) -> Value:
    """A value with its axes in another order."""
    order = [axis % value.rank for axis in order]
    if isinstance(value, Mix):
        parts = tuple(_each(part, lambda x: _permuted(build, x, order)) for part in value.parts)
        sizes = tuple(value.sizes[axis] for axis in order)
        return Mix(order.index(value.axis), parts, sizes, _moved(value.rows, order))
    return _permuted(build, value, order)


def _permuted(build: Build, value: Plain, order: Sequence[int]) -> Plain:
    sizes = tuple(value.sizes[axis] for axis in order)
    return build.emit(aten.permute.default, value, list(order), rows=_moved(value.rows, order), sizes=sizes)


def _moved(rows: Rows | None, order: Sequence[int]) -> Rows | None:
    return None if rows is None else replace(rows, axis=list(order).index(rows.axis))


def _each(part: Part, change: object) -> Part:
    assert callable(change)
    return replace(part, value=change(part.value), scale=None if part.scale is None else change(part.scale))


@rule(aten.unsqueeze.default)
def unsqueeze(build: Build, call: Call) -> Result:
    """A new axis of 1."""
    return added_axis(build, call.args[0], call.args[1] % call.result.rank)


def added_axis(build: Build, value: Value, axis: int) -> Value:
    """A value with a new axis of 1."""

    def change(x: Plain) -> Plain:
        rows = x.rows and replace(x.rows, axis=x.rows.axis + (x.rows.axis >= axis))
        return build.emit(
            aten.unsqueeze.default, x, axis, rows=rows, sizes=(*x.sizes[:axis], 1, *x.sizes[axis:])
        )  # fmt: skip

    if isinstance(value, Plain):
        return change(value)
    parts = tuple(_each(part, change) for part in value.parts)
    rows = value.rows and replace(value.rows, axis=value.rows.axis + (value.rows.axis >= axis))
    return Mix(value.axis + (value.axis >= axis), parts, (*value.sizes[:axis], 1, *value.sizes[axis:]), rows)


@rule(aten.squeeze.dims)
def squeeze(build: Build, call: Call) -> Result:
    """Axes of 1 removed. The rows stay, also where there is one."""
    value = call.args[0]
    rows = value.rows.axis if value.rows else None
    axes = [a % value.rank for a in call.args[1] if value.sizes[a % value.rank] == 1 and a % value.rank != rows]
    if isinstance(value, Mix):
        return None

    def place(axis: int) -> int:
        return axis - sum(a < axis for a in axes)

    moved = value.rows and replace(value.rows, axis=place(value.rows.axis))
    sizes = tuple(size for axis, size in enumerate(value.sizes) if axis not in axes)
    return build.emit(aten.squeeze.dims, value, axes, rows=moved, sizes=sizes)


@rule(aten.expand.default, aten.repeat.default)
def repetition(build: Build, call: Call) -> Result:
    """Equal entries along an axis: they are kept once, and the axis is noted as spread."""
    value, shape = call.args[0], call.result
    added = shape.rank - value.rank
    if call.operator == aten.repeat.default and any(
        new != old and old != 1 for new, old in zip(shape.sizes[added:], value.sizes, strict=True)
    ):
        return None
    if isinstance(value, Mix):
        if added or shape.rows != value.rows or shape.sizes[value.axis] != value.width:
            return None
        return widened(build, value, shape.sizes, shape.rows)
    for _ in range(added):
        rows = value.rows and replace(value.rows, axis=value.rows.axis + 1)
        value = build.emit(aten.unsqueeze.default, value, 0, rows=rows, sizes=(1, *value.sizes))
    if shape.rows is not None and (value.rows is None) and shape.rows.each != 1:
        return None
    if value.rows is not None and value.rows != shape.rows:
        return None
    return build.widened(value, shape.sizes, shape.rows)


@rule(aten.slice.Tensor)
def piece(build: Build, call: Call) -> Result:
    """Some entries along an axis; of a mix's columns, the parts that lie there."""
    named, shape = call.named, call.result
    value, axis = named["self"], named["dim"] % shape.rank
    if value.sizes == shape.sizes and (named["step"] or 1) == 1:
        return value
    if value.rows is not None and value.rows.axis == axis:
        return None
    start, stop, step = slice(named["start"], named["end"], named["step"]).indices(value.sizes[axis])
    if isinstance(value, Plain):
        return None if step != 1 else _slice(build, value, axis, range(start, stop))
    return None if step != 1 or axis != value.axis else cut_columns(build, value, start, stop)


def _slice(build: Build, value: Plain, axis: int, places: range) -> Plain:
    value = build.dense(value, axis)
    sizes = (*value.sizes[:axis], len(places), *value.sizes[axis + 1 :])
    return build.emit(aten.slice.Tensor, value, axis, places.start, places.stop, rows=value.rows, sizes=sizes)


def cut_columns(build: Build, mix: Mix, start: int, stop: int) -> Value:
    """Some columns of a mix; a tensor of the earliest stage that computes them."""
    parts = []
    for part in mix.parts:
        low, high = max(start, part.start), min(stop, part.start + part.width)
        if low < high:
            value = _slice(build, part.value, mix.axis, range(low - part.start, high - part.start))
            parts.append(replace(part, start=low - start, width=high - low, value=value))
    sizes = (*mix.sizes[: mix.axis], stop - start, *mix.sizes[mix.axis + 1 :])
    if len(parts) == 1 and parts[0].bare and parts[0].width == stop - start:
        return replace(parts[0].value, sizes=sizes)
    return Mix(mix.axis, tuple(parts), sizes, mix.rows)


@rule(aten.select.int)
def selected(build: Build, call: Call) -> Result:
    """One entry along an axis; of a mix's columns, the parts that lie there."""
    value, axis, place = call.args
    axis %= value.rank
    if not isinstance(value, Mix) or axis != value.axis or not isinstance(place, int):
        return None
    place %= value.width
    one = plain(build, cut_columns(build, value, place, place + 1))
    return build.emit(
        aten.squeeze.dims, build.dense(one, axis), [axis], rows=call.result.rows, sizes=call.result.sizes
    )  # fmt: skip


@rule(aten.split_with_sizes.default)
def split(build: Build, call: Call) -> Result:
    """Columns in several tensors."""
    value, sizes, axis = call.named["self"], call.named["split_sizes"], call.named["dim"]
    if not isinstance(value, Mix) or axis % value.rank != value.axis:
        return None
    edges = [sum(sizes[:place]) for place in range(len(sizes) + 1)]
    return [cut_columns(build, value, start, stop) for start, stop in pairwise(edges)]
