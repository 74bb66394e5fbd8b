"""Products with constant weights: ``[u, i, p] W`` becomes ``u W_u + i W_i + p W_p`` (MaRI, section 3).

The weights are sliced once, when the ranker is rewritten. Columns of one stage that lie apart are put together, with
their slices of the weights, so that each stage multiplies one matrix. A tensor that occurs in several columns (as ``q``
in ``[q, k, q - k, q * k]``) is multiplied once, by the sum of its slices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch

from models.reparameterise.build import Build
from models.reparameterise.colours import Stage
from models.reparameterise.mixes import joined, plain, pointwise
from models.reparameterise.rules.table import Call, Result, rule
from models.reparameterise.values import Mix, Part, Plain, Value

aten = torch.ops.aten


@rule(aten.linear.default)
def linear(build: Build, call: Call) -> Result:
    """``x W^T + b``."""
    weight, bias = call.named["weight"], call.named["bias"]
    return _product(build, call.named["input"], weight, bias)


@rule(aten.matmul.default, aten.mm.default)
def matrix_product(build: Build, call: Call) -> Result:
    """``x W`` with a constant matrix; products of two activations are in :mod:`.attention`."""
    from models.reparameterise.rules.attention import product_of_activations

    left, right = call.args
    if isinstance(right, Plain) and right.stage == Stage.CONSTANT and right.rank == 2:
        return _product(build, left, replace(right, val=right.val.T, sizes=right.sizes[::-1]), None)
    return product_of_activations(build, call, left, right)


@rule(aten.addmm.default)
def product_with_bias(build: Build, call: Call) -> Result:
    """``b + x W`` with a constant matrix and a constant bias."""
    bias, left, right = call.args
    if call.named["alpha"] != 1 or call.named["beta"] != 1 or not isinstance(right, Plain) or bias.rank != 1:
        return None
    return _product(build, left, replace(right, val=right.val.T, sizes=right.sizes[::-1]), bias)


def _product(build: Build, value: Value, weight: Value, bias: Value | None) -> Result:
    if not isinstance(weight, Plain) or weight.stage != Stage.CONSTANT or weight.rank != 2:
        return None
    if bias is not None and (not isinstance(bias, Plain) or bias.stage != Stage.CONSTANT or bias.rank != 1):
        return None
    if isinstance(value, Plain):
        return _once(build, value, weight, bias)
    if value.axis == value.rank - 1:
        return _split(build, value, weight, bias) or _once(build, plain(build, value), weight, bias)
    return _by_block(build, value, weight, bias)


def _once(build: Build, value: Plain, weight: Plain, bias: Plain | None) -> Plain:
    """The product of one tensor. Entries that are equal along an axis are multiplied once."""
    value = build.dense(value, value.rank - 1)
    if math.prod(value.val.shape[:-1]) < math.prod(_rows_and_sizes(build, value)[:-1]) and value.stage.repeats:
        build.notes.append("equal entries multiplied once")
    return _linear(build, value, weight, bias)


def _rows_and_sizes(build: Build, value: Plain | Mix) -> list[int]:
    """Shape of a value with a row for each candidate."""
    shape = list(value.sizes)
    if value.rows is not None:
        shape[value.rows.axis] *= build.costs.candidates
    return shape


def _linear(build: Build, value: Plain, weight: Plain, bias: Plain | None) -> Plain:
    sizes = (*value.sizes[:-1], weight.sizes[0])
    return build.emit(aten.linear.default, value, weight, bias, rows=value.rows, sizes=sizes)


def _by_block(build: Build, mix: Mix, weight: Plain, bias: Plain | None) -> Mix | None:
    """The product of a concatenation along another axis, such as that of fields: block by block."""
    if not mix.side_by_side:
        return None
    parts = [replace(part, value=_once(build, part.value, weight, bias)) for part in mix.parts]
    build.notes.append("each field in its own stage")
    return Mix(mix.axis, tuple(parts), (*mix.sizes[:-1], weight.sizes[0]), mix.rows)


@dataclass(eq=False)
class _Group:
    """Parts that one matrix product computes.

    Attributes:
        stage: when.
        scale: scale of all of them.
        values: the tensors, each with its slice of the weights.
    """

    stage: Stage
    scale: Plain | None
    values: dict[Plain, torch.Tensor] = field(default_factory=dict)

    def add(self, part: Part, weight: torch.Tensor) -> None:
        """Adds a part; the slices of a tensor that is here already are added up."""
        piece = weight[:, part.start : part.start + part.width] * part.factor
        before = self.values.get(part.value)
        self.values[part.value] = piece if before is None else before + piece


def _split(build: Build, mix: Mix, weight: Plain, bias: Plain | None) -> Plain | None:
    """The sum of the products of all parts; None if it would not pay."""
    groups = _groups(build, mix, weight.val)
    entries = math.prod(_rows_and_sizes(build, mix)[:-1])
    outputs = weight.sizes[0]
    later = [group for group in groups if group.stage != Stage.CONSTANT]
    own = sum(_multiplications(build, group, outputs) for group in later)
    repeated = [group for group in later if group.stage.repeats]
    added = (len(repeated) - 1 + any(g.stage == Stage.REQUEST for g in later) * (mix.rank > 2)) * entries * outputs
    added += sum(entries * outputs for group in repeated if group.scale is not None)
    extra = added * build.costs.addition + (len(later) - 1) * build.costs.call
    before = entries * mix.width * outputs
    if own + extra >= before:
        build.notes.append("left whole: a split would not pay")
        return None
    build.notes.append(f"split into {len(groups)} products")
    return _sum_of_products(build, groups, bias)


def _groups(build: Build, mix: Mix, weight: torch.Tensor) -> list[_Group]:
    """The parts by stage, scale and shape. Without a table of items, items' columns join those of pairs."""
    has_pairs = any(part.value.stage == Stage.PAIR for part in mix.parts)
    found: dict[tuple[Stage, Plain | None, tuple[int, ...]], _Group] = {}
    for part in mix.parts:
        stage = part.value.stage
        if stage == Stage.ITEM and has_pairs and not build.costs.items_once and part.scale is None:
            stage = Stage.PAIR
        key = (stage, part.scale, tuple(part.value.val.shape[:-1]))
        found.setdefault(key, _Group(stage, part.scale)).add(part, weight)
    return sorted(found.values(), key=lambda group: (group.stage, group.scale is not None))


def _multiplications(build: Build, group: _Group, outputs: int) -> int:
    """Multiplications of a group for one request."""
    if group.stage == Stage.ITEM and build.costs.items_once:
        return 0
    return sum(value.val.numel() for value in group.values) * outputs


def _sum_of_products(build: Build, groups: list[_Group], bias: Plain | None) -> Plain:
    """Adds up the groups' products. One product adds to the last in one call, but for what the items' table holds."""
    total: Plain | None = None
    for group in groups:
        value = joined(build, list(group.values), next(iter(group.values)).rank - 1)
        weight = build.constant(torch.cat(list(group.values.values()), dim=1).contiguous())
        if group.scale is not None:
            product = pointwise(build, aten.mul.Tensor, _linear(build, value, weight, None), group.scale)
            total = product if total is None else pointwise(build, aten.add.Tensor, total, product)
        elif total is None:
            total = _linear(build, value, weight, bias)
            bias = None
        elif (
            value.rank == total.rank == 2 and value.rows and not (value.stage == Stage.ITEM and build.costs.items_once)
        ):
            rows = value.rows or total.rows
            total = build.emit(aten.addmm.default, total, value, _turned(build, weight), rows=rows)
        else:
            total = pointwise(build, aten.add.Tensor, total, _linear(build, value, weight, None))
    assert total is not None
    return total if bias is None else pointwise(build, aten.add.Tensor, total, bias)


def _turned(build: Build, weight: Plain) -> Plain:
    return build.constant(weight.val.T.contiguous())
