"""Products with constant weights: ``[u, i, p] W`` becomes ``u W_u + i W_i + p W_p`` (MaRI, section 3).

The weights are sliced once, when the ranker is rewritten. Columns of one stage that lie apart are put together, with
their slices of the weights, so that each stage multiplies one matrix. A tensor that occurs in several columns (as ``q``
in ``[q, k, q - k, q * k]``) is multiplied once, by the sum of its slices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from models.reparameterise.build import Build, Columns, Layer
from models.reparameterise.colours import Stage
from models.reparameterise.mixes import have_rows, joined, plain, pointwise
from models.reparameterise.rules.cross_layers import ReadThrough, cross_of, read_through
from models.reparameterise.rules.folding import folded
from models.reparameterise.rules.table import Call, Result, rule
from models.reparameterise.shapes import Rows
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
    if isinstance(value, Mix) and value.axis != value.rank - 1:
        return _by_block(build, value, weight, bias)
    if isinstance(value, Plain) and cross_of(build, Part(0, value.sizes[-1], value)):
        value = Mix(value.rank - 1, (Part(0, value.sizes[-1], value),), value.sizes, value.rows)
    found = _split(build, value, weight, bias) if isinstance(value, Mix) else None
    found = found or _once(build, plain(build, value), weight, bias)
    if value.rank == 2 and value.rows == Rows(0) and found.stage.repeats:
        some = partial(_some, build, value, weight=weight, bias=bias)
        build.layers[found] = Layer(value, weight, bias, some)
    return found


def _some(build: Build, value: Value, columns: Columns, *, weight: Plain, bias: Plain | None) -> Plain:
    """Some of the outputs of a product."""
    places = [place for run in columns for place in run]
    own = None if bias is None else build.constant(bias.val[places])
    notes, build.notes = build.notes, []  # they are of the node whose rule asks, not of this product
    found = _product(build, value, build.constant(weight.val[places]), own)
    build.notes = notes
    assert isinstance(found, Plain)
    return found


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
    if (found := folded(build, mix, weight, bias)) is not None:
        return found
    through = read_through(build, mix, weight)
    groups = _groups(build, mix if through is None else replace(mix, parts=tuple(through.parts)), weight.val)
    entries, outputs = math.prod(_rows_and_sizes(build, mix)[:-1]), weight.sizes[0]
    later = [group for group in groups if group.stage != Stage.CONSTANT]
    own = sum(_multiplications(build, group, outputs) for group in later)
    kept = sum(_in_table(build, group) for group in groups)
    scales = len({group.scale for group in groups if group.scale is not None})
    flat = mix.rank == 2 and mix.rows == Rows(0) and all(have_rows(*group.values, group.scale) for group in groups)
    passes = kept if flat else len(later) - 1 + 2 * scales
    extra = passes * entries * outputs * build.costs.addition + (len(later) + scales - 1) * build.costs.call
    whole = entries * mix.width * outputs
    if through is not None:
        read = [group for group in groups if group.scale is None and not _in_table(build, group)]
        own += through.once + entries * outputs * through.width({value for group in read for value in group.values})
        whole += through.saved
    if own + extra >= whole:
        build.notes.append("left whole: a split would not pay")
        return None
    build.notes.append(f"split into {len(groups)} products")
    if through is not None:
        build.notes.append("cross layers read through")
        build.reads_through = True
    found = _in_one_product(build, groups, bias, through) if flat else None
    assert found is not None or through is None
    return found or _sum_of_products(build, groups, bias)


def _in_table(build: Build, group: _Group) -> bool:
    """Whether the table of items keeps a group's product."""
    return group.stage == Stage.ITEM and build.costs.items_once


def _groups(build: Build, mix: Mix, weight: torch.Tensor) -> list[_Group]:
    """The parts by scale, stage and shape. Without a table of items, items' columns join those of pairs."""
    has_pairs = any(part.value.stage == Stage.PAIR for part in mix.parts)
    found: dict[tuple[Plain | None, Stage, tuple[int, ...]], _Group] = {}
    for part in mix.parts:
        own = weight
        if part.value.stage == Stage.CONSTANT and part.scale is not None and part.value.val[..., 0].numel() == 1:
            # a constant row times one number a row is that number times a constant column of weights
            piece = weight[:, part.start : part.start + part.width]
            own = piece @ part.value.val.reshape(-1, 1).to(piece.dtype)
            part = Part(0, 1, part.scale, part.factor)
        stage = part.value.stage
        if stage == Stage.ITEM and has_pairs and not build.costs.items_once:
            stage = Stage.PAIR
        key = (part.scale, stage, tuple(part.value.val.shape[:-1]))
        found.setdefault(key, _Group(stage, part.scale)).add(part, own)
    order = {scale: place for place, scale in enumerate(dict.fromkeys([None, *(scale for scale, _, _ in found)]))}
    return sorted(found.values(), key=lambda group: (order[group.scale], group.stage))


def _multiplications(build: Build, group: _Group, outputs: int) -> int:
    """Multiplications of a group for one request."""
    if _in_table(build, group):
        return 0
    return sum(value.val.numel() for value in group.values) * outputs


def _in_one_product(
    build: Build, groups: list[_Group], bias: Plain | None, through: ReadThrough | None
) -> Plain | None:  # fmt: skip
    """The sum as one product with all that has a row for each candidate; None if nothing has.

    What is the request's is the product's bias, as one vector, which a matrix product adds while it writes its result.
    A scale is multiplied into the candidates' columns, which are fewer than the outputs; a scaled row of the request's
    becomes the weights of one more column, the scale itself. Products that the table of items keeps are added last.
    """
    row, kept = bias, []
    columns = [] if through is None else [*through.columns]
    for own in [] if through is None else through.vectors:
        row = own if row is None else build.emit(aten.add.Tensor, own, row, rows=None)
    for group in groups:
        if _in_table(build, group):
            kept.append(group)
        elif group.stage.repeats:
            for value, piece in group.values.items():
                columns.append((_scaled(build, value, group.scale), build.constant(piece)))
        else:
            own = build.emit(aten.reshape.default, _plus_product(build, None, group, None), [-1], rows=None)
            if group.scale is not None and group.scale.stage.repeats:
                columns.append((group.scale, build.emit(aten.reshape.default, own, [-1, 1], rows=None)))
                continue
            if group.scale is not None:
                one = build.emit(aten.reshape.default, group.scale, [-1], rows=None)
                own = build.emit(aten.mul.Tensor, own, one, rows=None)
            row = own if row is None else build.emit(aten.add.Tensor, own, row, rows=None)
    if not any(value.stage.repeats for value, _ in columns):
        return None
    weights = _by_value(build, columns)
    value, weight = joined(build, [*weights], 1), _side_by_side(build, [*weights.values()])
    total = build.emit(aten.linear.default, value, weight, row, rows=value.rows, sizes=(1, weight.sizes[0]))
    for group in kept:
        product = _plus_product(build, None, group, None)
        product = product if group.scale is None else pointwise(build, aten.mul.Tensor, product, group.scale)
        total = pointwise(build, aten.add.Tensor, total, product)
    return total


def _scaled(build: Build, value: Plain, scale: Plain | None) -> Plain:
    """A tensor times a scale, computed once for all products that read it."""
    if scale is None:
        return value
    key = (value, scale)
    if key not in build.scaled:
        build.scaled[key] = pointwise(build, aten.mul.Tensor, value, scale)
    return build.scaled[key]


def _by_value(build: Build, columns: list[tuple[Plain, Plain]]) -> dict[Plain, Plain]:
    """The weights of each tensor that has a row for each candidate; those of one tensor are added up."""
    found: dict[Plain, Plain] = {}
    for value, weight in columns:
        before = found.get(value)
        found[value] = weight if before is None else build.emit(aten.add.Tensor, before, weight, rows=None)
    return found


def _side_by_side(build: Build, pieces: list[Plain]) -> Plain:
    """Weights of columns side by side; constants stay one, weights of the request's are put beside them."""
    if all(piece.stage == Stage.CONSTANT for piece in pieces):
        return build.constant(torch.cat([piece.val for piece in pieces], dim=1).contiguous())
    return build.emit(aten.cat.default, pieces, 1, rows=None)


def _sum_of_products(build: Build, groups: list[_Group], bias: Plain | None) -> Plain:
    """The products of all groups, those of one scale added up before they are scaled."""
    total = None if any(group.scale is None for group in groups) else bias
    for scale in dict.fromkeys(group.scale for group in groups):
        of_scale: Plain | None = None
        for group in groups:
            if group.scale is scale:
                of_scale = _plus_product(build, of_scale, group, bias if scale is None else None)
        assert of_scale is not None
        if scale is not None:
            of_scale = pointwise(build, aten.mul.Tensor, of_scale, scale)
        total = of_scale if total is None else pointwise(build, aten.add.Tensor, total, of_scale)
    assert total is not None
    return total


def _plus_product(build: Build, total: Plain | None, group: _Group, bias: Plain | None) -> Plain:
    """A total plus a group's product."""
    value = joined(build, list(group.values), next(iter(group.values)).rank - 1)
    weight = build.constant(torch.cat(list(group.values.values()), dim=1).contiguous())
    if total is None:
        return _linear(build, value, weight, bias)
    return pointwise(build, aten.add.Tensor, total, _linear(build, value, weight, None))
