"""Normalisations: a layer norm from each part's own sums, a batch norm in evaluation as a product and a sum."""

from __future__ import annotations

import torch

from models.reparameterise.build import Build
from models.reparameterise.colours import Stage
from models.reparameterise.mixes import merged, plain, pointwise
from models.reparameterise.rules.entrywise import by_piece
from models.reparameterise.rules.sums import part_sum
from models.reparameterise.rules.table import Call, Result, rule
from models.reparameterise.values import Mix, Part, Plain

aten = torch.ops.aten


@rule(aten.layer_norm.default)
def layer_norm(build: Build, call: Call) -> Result:
    """``(x - m) r g + b`` as parts: each part's own mean and squares, then ``r (g x) - m r g + b``.

    The variance is put together from each part's squares around its own mean and the distance of the means (Chan,
    Golub and LeVeque 1983), which loses no digits where the mean is large.
    """
    mix, shape = call.named["input"], call.named["normalized_shape"]
    if not isinstance(mix, Mix) or len(shape) != 1 or mix.axis != mix.rank - 1 or not mix.side_by_side:
        return None
    weight, bias = call.named["weight"], call.named["bias"]
    if any(isinstance(x, Plain) and x.stage != Stage.CONSTANT for x in (weight, bias)):
        return None
    width, axis = mix.width, mix.axis
    sums = [part_sum(build, part, axis) for part in mix.parts]
    mean = pointwise(build, aten.mul.Tensor, _total(build, sums), 1 / width)
    squares = []
    for part, total in zip(mix.parts, sums, strict=True):
        own = pointwise(build, aten.mul.Tensor, total, 1 / part.width)
        around = pointwise(build, aten.sub.Tensor, part.value, own)
        around = pointwise(build, aten.mul.Tensor, around, around)
        squares.append(part_sum(build, Part(0, part.width, around), axis))
        apart = pointwise(build, aten.sub.Tensor, own, mean)
        apart = pointwise(build, aten.mul.Tensor, apart, apart)
        squares.append(pointwise(build, aten.mul.Tensor, apart, float(part.width)))
    variance = pointwise(build, aten.mul.Tensor, _total(build, squares), 1 / width)
    deviation = pointwise(build, aten.rsqrt.default, pointwise(build, aten.add.Tensor, variance, call.named["eps"]))
    moved = pointwise(build, aten.neg.default, pointwise(build, aten.mul.Tensor, mean, deviation))
    build.notes.append("each part's sums in its own stage")

    def as_given() -> Plain:
        whole = build.dense(plain(build, mix))
        return build.emit(call.operator, whole, shape, weight, bias, call.named["eps"], False, rows=whole.rows)

    gain = weight.val if isinstance(weight, Plain) else torch.ones(width, dtype=mix.parts[0].value.val.dtype)
    gain = gain.reshape([1] * (mix.rank - 1) + [width])
    parts = []
    for part in mix.parts:
        own_gain = build.constant(gain[..., part.start : part.start + part.width].contiguous())
        value = pointwise(build, aten.mul.Tensor, part.value, own_gain) if isinstance(weight, Plain) else part.value
        parts.append(Part(part.start, part.width, value, scale=deviation))
    parts.append(Part(0, width, build.constant(gain), scale=moved))
    if isinstance(bias, Plain):
        parts.append(Part(0, width, build.constant(bias.val.reshape(gain.shape))))
    return Mix(axis, merged(build, parts), mix.sizes, mix.rows, as_given)


def _total(build: Build, terms: list[Plain]) -> Plain:
    """The sum of tensors, those of early stages first."""
    total, *rest = sorted(terms, key=lambda term: term.stage)
    for term in rest:
        total = pointwise(build, aten.add.Tensor, total, term)
    return total


@rule(aten.batch_norm.default)
def batch_norm(build: Build, call: Call) -> Result:
    """In evaluation, ``x a + c`` with constants for each channel."""
    value = call.named["input"]
    if not isinstance(value, Mix) or value.axis != 1 or not value.side_by_side:
        return None
    named = call.named
    mean, variance = named["running_mean"].val, named["running_var"].val
    gain = torch.rsqrt(variance + named["eps"])
    if named["weight"] is not None:
        gain = gain * named["weight"].val
    shift = -mean * gain if named["bias"] is None else named["bias"].val - mean * gain
    shape = [1, value.width, *[1] * (value.rank - 2)]
    a, c = (build.constant(x.reshape(shape)) for x in (gain, shift))
    product = by_piece(build, Call(aten.mul.Tensor, (value, a), {}, {}, call.shape))
    if product is None:
        return None
    build.notes.append("each part in its own stage")
    return by_piece(build, Call(aten.add.Tensor, (product, c), {}, {}, call.shape))
