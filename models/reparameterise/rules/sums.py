"""Sums and means: over the columns of a mix they are sums of the parts' sums (FM's sums), over other axes by part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from models.reparameterise.build import Build
from models.reparameterise.mixes import plain, pointwise, summed
from models.reparameterise.rules.table import Call, Result, rule
from models.reparameterise.values import Mix, Part, Plain, Value

aten = torch.ops.aten


@rule(aten.sum.dim_IntList, aten.mean.dim)
def sums(build: Build, call: Call) -> Result:
    """A sum or mean along axes."""
    value, axes, keep = call.named["self"], call.named["dim"], call.named["keepdim"]
    if not isinstance(value, Mix) or not axes or call.named["dtype"] is not None:
        return None
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
