"""Sums and means: over the columns of a mix they are sums of the parts' sums (FM's sums), over other axes by part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch

from models.reparameterise.build import Build
from models.reparameterise.mixes import plain, pointwise, summed
from models.reparameterise.rules.table import Call, Result, rule
from models.reparameterise.shapes import Rows
from models.reparameterise.values import Mix, Part, Plain, Value

aten = torch.ops.aten
LETTERS = "abcdefgh"


@rule(aten.sum.dim_IntList, aten.mean.dim)
def sums(build: Build, call: Call) -> Result:
    """A sum or mean along axes."""
    value, axes, keep = call.named["self"], call.named["dim"], call.named["keepdim"]
    if not axes or call.named["dtype"] is not None:
        return None
    if isinstance(value, Plain):
        return _of_products(build, call, value)
    axes = sorted(axis % value.rank for axis in axes)
    if axes == [value.axis]:
        total = _over_columns(build, value, keep)
        if total is None or call.operator == aten.sum.dim_IntList:
            return total
        return pointwise(build, aten.mul.Tensor, plain(build, total), 1 / value.width)
    if value.axis in axes or any(part.scale is not None for part in value.parts) or not keep:
        return None
    parts = tuple(replace(part, value=_along(build, part.value, axes, call.operator)) for part in value.parts)
    sizes = tuple(1 if axis in axes else size for axis, size in enumerate(value.sizes))
    return Mix(value.axis, parts, sizes, value.rows)


def _of_products(build: Build, call: Call, value: Plain) -> Plain | None:
    """The sum of a user's tensor times a candidate's: a matrix product, in place of all products one by one.

    This is how a history is pooled by attention, ``(weights * events).sum(1)``, and how an inner product is written.
    """
    if value not in build.factors or call.operator != aten.sum.dim_IntList or value.rank > len(LETTERS):
        return None
    one, other = (plain(build, factor) for factor in build.factors[value])
    axes = [axis % value.rank for axis in call.named["dim"]]
    if one.stage.repeats == other.stage.repeats or not (one.rank == other.rank == value.rank):
        return None
    if value.rows is None or value.rows.each != 1 or not (one.val.dtype == other.val.dtype == value.val.dtype):
        return None
    one, other = (build.dense(x, *axes) for x in (one, other))
    build.notes.append("products and sum in one")
    letters = LETTERS[: value.rank]
    left = "".join(letter for axis, letter in enumerate(letters) if axis not in axes)
    sizes = tuple(size for axis, size in enumerate(value.sizes) if axis not in axes)
    rows = replace(value.rows, axis=value.rows.axis - sum(axis < value.rows.axis for axis in axes))
    total = build.emit(aten.einsum.default, f"{letters},{letters}->{left}", [one, other], rows=rows, sizes=sizes)
    if not call.named["keepdim"]:
        return total
    for axis in sorted(axes):
        moved = cast(Rows, total.rows)
        moved = replace(moved, axis=moved.axis + (moved.axis >= axis))
        wide = (*total.sizes[:axis], 1, *total.sizes[axis:])
        total = build.emit(aten.unsqueeze.default, total, axis, rows=moved, sizes=wide)
    return total


def _over_columns(build: Build, mix: Mix, keep: bool) -> Value | None:
    """The sum over the columns of a mix, as a sum of the parts' sums."""
    if len({part.value.stage for part in mix.parts}) == 1 or (not keep and mix.rank == 1):
        return None
    build.notes.append("each part's sum in its own stage")
    total: Value | None = None
    for part in sorted(mix.parts, key=lambda part: part.value.stage):
        one = part_sum(build, part, mix.axis)
        if not keep:
            one = _without(build, one, mix.axis)
        if total is None:
            total = one
        elif isinstance(total, Plain) and total.stage == one.stage:
            total = pointwise(build, aten.add.Tensor, total, one)
        else:
            total = summed(build, total, one) or pointwise(build, aten.add.Tensor, plain(build, total), one)
    return total


def part_sum(build: Build, part: Part, axis: int) -> Plain:
    """The sum of a part over its columns, with an axis of 1 in their place."""
    one = _along(build, part.value, [axis])
    if part.scale is not None:
        one = pointwise(build, aten.mul.Tensor, one, part.scale)
    return one if part.factor == 1.0 else pointwise(build, aten.mul.Tensor, one, part.factor)


def _along(build: Build, value: Plain, axes: list[int], operator: Any = aten.sum.dim_IntList) -> Plain:
    value = build.dense(value, *axes)
    sizes = tuple(1 if axis in axes else size for axis, size in enumerate(value.sizes))
    return build.emit(operator, value, axes, True, rows=value.rows, sizes=sizes)


def _without(build: Build, value: Plain, axis: int) -> Plain:
    rows = value.rows
    if rows is not None and rows.axis > axis:
        rows = replace(rows, axis=rows.axis - 1)
    sizes = (*value.sizes[:axis], *value.sizes[axis + 1 :])
    return build.emit(aten.squeeze.dims, value, [axis], rows=rows, sizes=sizes)
