"""Sums of parts of several stages: how they are made, cut, added and, in the end, computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch

from models.reparameterise.build import Build
from models.reparameterise.colours import Stage, join_stages
from models.reparameterise.shapes import Rows
from models.reparameterise.values import Mix, Part, Plain, Value

aten = torch.ops.aten
Direct = Callable[[], Plain] | None


def broadcast_sizes(*sizes: Sequence[int]) -> tuple[int, ...]:
    """The shape that these shapes for one row broadcast to."""
    return tuple(torch.broadcast_shapes(*(tuple(size) for size in sizes)))


def broadcast_rows(values: Sequence[Value], rank: int) -> Rows | None:
    """Where the rows of a result with so many axes are, from operands whose axes are aligned from the last."""
    for value in values:
        if value.rows is not None:
            return replace(value.rows, axis=value.rows.axis + rank - value.rank)
    return None


def have_rows(*values: Plain | None) -> bool:
    """Whether what the candidates make has a row for each; their mean, for one, is a number of all."""
    return all(value.rows is not None for value in values if value is not None and value.stage.repeats)


def pointwise(build: Build, operator: Any, *args: Any, **kwargs: Any) -> Plain:
    """Computes an operator entry by entry; spread axes and single rows stay as they are."""
    stage = join_stages(arg.stage for arg in args if isinstance(arg, Plain))
    args = tuple(_broadcastable(build, arg, stage) for arg in args)
    tensors = [arg for arg in args if isinstance(arg, Plain)]
    sizes = broadcast_sizes(*(tensor.sizes for tensor in tensors))
    rows = broadcast_rows(tensors, len(sizes))
    return build.emit(operator, *args, rows=rows, sizes=sizes, **kwargs)


def _broadcastable(build: Build, arg: Any, stage: Stage) -> Any:
    """An operand whose single row can meet many: where a row has several entries along its axis, it is repeated."""
    if isinstance(arg, Plain) and arg.rows is not None and arg.rows.each > 1:
        return build.repeated(arg, stage)
    return arg


def with_rank(build: Build, plain: Plain, rank: int) -> Plain:
    """A tensor with axes of 1 added in front."""
    while plain.rank < rank:
        rows = None if plain.rows is None else replace(plain.rows, axis=plain.rows.axis + 1)
        plain = build.emit(aten.unsqueeze.default, plain, 0, rows=rows, sizes=(1, *plain.sizes))
    return plain


def operand(build: Build, plain: Plain, mix: Mix) -> Plain:
    """A tensor with the axes of a mix. A scalar takes the mix's type, as torch has it: it never widens the other's."""
    dtype = mix.parts[0].value.val.dtype
    if not plain.rank and plain.val.is_floating_point() and dtype.is_floating_point and plain.val.dtype != dtype:
        plain = build.emit(aten._to_copy.default, plain, dtype=dtype, rows=None)
    return with_rank(build, plain, mix.rank)


def cut(build: Build, value: Plain, axis: int, places: range) -> Plain:
    """Some columns of a tensor. A constant's are copied, so that they lie together in memory."""
    if places == range(value.sizes[axis]):
        return value
    if value.spread(axis) or value.val.shape[axis] == 1:
        value = build.dense(value, axis)
    sizes = (*value.sizes[:axis], len(places), *value.sizes[axis + 1 :])
    part = build.emit(aten.slice.Tensor, value, axis, places.start, places.stop, rows=value.rows, sizes=sizes)
    if part.stage == Stage.CONSTANT:
        return replace(part, val=part.val.contiguous())
    return part


def columns(build: Build, mix: Mix) -> list[tuple[int, Plain]]:
    """A mix as tensors side by side, with the first column of each. Where parts overlap, they are added up."""
    edges = sorted({0, mix.width, *(edge for part in mix.parts for edge in (part.start, part.start + part.width))})
    found = []
    for start, stop in pairwise(edges):
        over = [part for part in mix.parts if part.start <= start and part.start + part.width >= stop]
        found.append((start, _added_up(build, mix, over, range(start, stop))))
    return found


def _added_up(build: Build, mix: Mix, parts: list[Part], places: range) -> Plain:
    """The sum of some parts in some columns, those of early stages first."""
    total: Plain | None = None
    sizes = (*mix.sizes[: mix.axis], len(places), *mix.sizes[mix.axis + 1 :])
    for part in sorted(parts, key=lambda part: part.value.stage):
        value = cut(build, part.value, mix.axis, range(places.start - part.start, places.stop - part.start))
        if part.scale is not None:
            value = pointwise(build, aten.mul.Tensor, value, part.scale)
        if part.factor not in (1.0, -1.0) or (total is None and part.factor == -1.0):
            value = pointwise(build, aten.mul.Tensor, value, part.factor)
            total = value if total is None else pointwise(build, aten.add.Tensor, total, value)
        elif total is None:
            total = value
        else:
            total = pointwise(build, aten.sub.Tensor if part.factor == -1.0 else aten.add.Tensor, total, value)
    if total is None:
        total = build.constant(torch.zeros([1] * mix.rank, dtype=mix.parts[0].value.val.dtype))
    if total.rows is None and mix.rows is not None:
        shape = list(total.val.shape)
        shape[mix.rows.axis] = mix.rows.each
        total = build.emit(aten.expand.default, total, shape, rows=mix.rows)
    return replace(total, sizes=sizes)


def plain(build: Build, value: Value) -> Plain:
    """A value as one tensor. A mix is computed in the ranker's own way where its rule told one, and only once."""
    if isinstance(value, Plain):
        return value
    if value not in build.materialised:
        build.materialised[value] = value.direct() if value.direct else side_by_side(build, value)
    return build.materialised[value]


def side_by_side(build: Build, mix: Mix) -> Plain:
    """A mix as one tensor, from its columns."""
    return joined(build, [value for _, value in columns(build, mix)], mix.axis)


def joined(build: Build, pieces: Sequence[Plain], axis: int) -> Plain:
    """Concatenates tensors; neighbours of the same stage first, each in its own stage."""
    groups: list[list[Plain]] = []
    for piece in pieces:
        if groups and groups[-1][0].stage == piece.stage and _alike(groups[-1][0], piece, axis):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return _concatenated(build, [_concatenated(build, group, axis) for group in groups], axis)


def _alike(one: Plain, other: Plain, axis: int) -> bool:
    """Whether two tensors have the same entries in memory beside the columns."""
    first, second = list(one.val.shape), list(other.val.shape)
    first[axis] = second[axis] = 1
    return first == second and not one.spread(axis) and not other.spread(axis) and one.rows == other.rows


def _concatenated(build: Build, pieces: Sequence[Plain], axis: int) -> Plain:
    if len(pieces) == 1:
        return pieces[0]
    key = (axis, tuple(pieces))
    if key not in build.joined:
        stage = join_stages(piece.stage for piece in pieces)
        rows = next((piece.rows for piece in pieces if piece.rows), None)
        if all(_alike(pieces[0], piece, axis) for piece in pieces):
            parts = [build.dense(piece, axis) for piece in pieces]
        else:
            parts = [build.full(piece, stage) for piece in pieces]
        width = sum(piece.sizes[axis] for piece in pieces)
        sizes = (*pieces[0].sizes[:axis], width, *pieces[0].sizes[axis + 1 :])
        build.joined[key] = build.emit(aten.cat.default, parts, axis, rows=rows, sizes=sizes)
    return build.joined[key]


def summed(build: Build, one: Value, other: Value, *, factor: float = 1.0, direct: Direct = None) -> Mix | None:
    """``one + factor * other`` as a mix, not yet added up; None if their columns lie along different axes."""
    rank = max(one.rank, other.rank)
    one, other = (with_rank(build, x, rank) if isinstance(x, Plain) else x for x in (one, other))
    if one.rank != other.rank:
        return None
    axis = next((x.axis for x in (one, other) if isinstance(x, Mix)), rank - 1)
    sizes, rows = broadcast_sizes(one.sizes, other.sizes), broadcast_rows((one, other), rank)
    if any(isinstance(x, Mix) and (x.axis != axis or x.width != sizes[axis]) for x in (one, other)):
        return None
    both = [_parts(build, x, sizes, rows, axis=axis) for x in (one, other)]
    parts = merged(build, [*both[0], *(replace(part, factor=factor * part.factor) for part in both[1])])
    return Mix(axis, parts, sizes, rows, direct)


def _parts(build: Build, value: Value, sizes: tuple[int, ...], rows: Rows | None, *, axis: int) -> tuple[Part, ...]:
    """A value as parts of a mix of these sizes."""
    if isinstance(value, Plain):
        value = Mix(axis, (Part(0, sizes[axis], value),), value.sizes, value.rows)
    found = widened(build, value, sizes, rows).parts
    return tuple(replace(part, value=build.dense(part.value, axis)) for part in found)


def widened(build: Build, mix: Mix, sizes: tuple[int, ...], rows: Rows | None) -> Mix:
    """A mix whose axes of 1 stand for more equal entries; the columns stay as they are."""
    parts = []
    for part in mix.parts:
        own = list(sizes)
        own[mix.axis] = part.width
        if part.value.rows is None and rows is not None:
            own[rows.axis] = part.value.sizes[rows.axis]
        parts.append(replace(part, value=build.widened(part.value, tuple(own), part.value.rows and rows)))
    return Mix(mix.axis, tuple(parts), sizes, rows)


def merged(build: Build, parts: Sequence[Part]) -> tuple[Part, ...]:
    """Summands without two of the same value in the same columns: ``x0 + s x0`` becomes ``(1 + s) x0``."""
    found: dict[tuple[int, Plain], Part] = {}
    for part in parts:
        key = (part.start, part.value)
        before = found.get(key)
        if before is None:
            found[key] = part
        elif before.scale is None and part.scale is None:
            found[key] = replace(part, factor=before.factor + part.factor)
        else:
            terms = [_scale(build, before), _scale(build, part)]
            scale = pointwise(build, aten.add.Tensor, *sorted(terms, key=lambda x: not isinstance(x, Plain)))
            found[key] = replace(part, factor=1.0, scale=scale)
    return tuple(found.values())


def _scale(build: Build, part: Part) -> Plain | float:
    if part.scale is None:
        return part.factor
    return part.scale if part.factor == 1.0 else pointwise(build, aten.mul.Tensor, part.scale, part.factor)


def scaled(build: Build, mix: Mix, scale: Plain, direct: Direct) -> Mix:
    """A mix times a tensor with one entry along its columns."""
    parts = []
    for part in mix.parts:
        both = scale if part.scale is None else pointwise(build, aten.mul.Tensor, part.scale, scale)
        parts.append(replace(part, scale=both))
    sizes, rows = broadcast_sizes(mix.sizes, scale.sizes), broadcast_rows((mix, scale), mix.rank)
    return replace(widened(build, replace(mix, parts=tuple(parts)), sizes, rows), direct=direct)
