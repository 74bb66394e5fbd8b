"""Which operators treat every row alike: row i of the result depends on row i of the operands, and on nothing else.

Only such an operator may run on a user's single row in place of the repeated rows. For any other operator, known or
not, the rows are repeated first, so the result is what the ranker would have computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from models.reparameterise.shapes import VIEWS, Fact, Shape

aten = torch.ops.aten
Arguments = Mapping[str, Any]
"""An operator's arguments by name, with a :class:`Shape` in place of each tensor."""
Test = Callable[[Arguments, Shape], bool]

FREE = {
    aten.permute.default, aten.expand.default, aten.repeat.default, aten.unsqueeze.default, aten.squeeze.default,
    aten.squeeze.dims, aten.squeeze.dim, aten.full.default, aten.scalar_tensor.default, aten.full_like.default,
    aten.zeros_like.default, aten.ones_like.default, aten.t.default, aten.transpose.int, *VIEWS,
}  # fmt: skip
"""Operators that move or make rows as wholes. A view that does not is refused with its shape."""
POINTWISE = {
    aten.clone.default, aten._to_copy.default, aten.alias.default, aten.detach.default, aten.lift_fresh_copy.default,
    aten.where.self, aten.masked_fill.Scalar, aten.masked_fill.Tensor,
}  # fmt: skip
"""Operators entry by entry beside those that torch marks so."""
ALONG = {
    aten.sum.dim_IntList, aten.mean.dim, aten.amax.default, aten.amin.default, aten.any.dim, aten.any.dims,
    aten.all.dim, aten.argmax.default, aten.argmin.default, aten.cumsum.default, aten.cumprod.default,
    aten._softmax.default, aten._log_softmax.default, aten.softmax.int, aten.log_softmax.int, aten.topk.default,
    aten.sort.default, aten.sort.stable, aten.gather.default, aten.scatter_add.default, aten.flip.default,
    aten.roll.default, aten.cat.default, aten.select.int, aten.split_with_sizes.default,
    aten.split.Tensor, aten.unbind.int, aten.var.correction, aten.prod.dim_int, aten.logsumexp.default, aten.max.dim,
    aten.min.dim, aten.slice.Tensor, aten.scatter.src, aten.scatter.value,
}  # fmt: skip
"""Operators along the axes that an argument ``dim`` or ``dims`` names: alike for rows if these are not the rows'."""


def pointwise(operator: Any) -> bool:
    """Whether an operator computes entry by entry, with broadcasting."""
    return operator in POINTWISE or torch.Tag.pointwise in getattr(operator, "tags", ())


def known(operator: Any) -> bool:
    """Whether it is known how an operator treats rows."""
    return pointwise(operator) or operator in FREE or operator in ALONG or operator in TESTS


def alike(operator: Any, arguments: Arguments, result: Fact) -> bool:
    """Whether an operator treats every row alike, with these shapes.

    Args:
        operator: an ATen operator.
        arguments: its arguments by name, with a :class:`Shape` in place of each tensor.
        result: shape or shapes of its result.
    """
    shapes = list(_shapes(arguments.values()))
    first = result[0] if isinstance(result, list) else result
    if not isinstance(first, Shape):
        return False
    if all(shape.rows is None for shape in shapes) and first.rows is None:
        return True  # no rows at all
    if pointwise(operator):
        return all(_aligned(shape, first) for shape in shapes)
    if operator in FREE:
        return True
    if operator in ALONG:
        return all(_apart(shape, arguments, first) for shape in shapes)
    test = TESTS.get(operator)
    return test is not None and test(arguments, first)


def _shapes(values: Any) -> Any:
    for value in values:
        if isinstance(value, Shape):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _shapes(value)


def _aligned(shape: Shape, result: Shape) -> bool:
    """Whether an operand's rows are the result's after broadcasting, which aligns axes from the last."""
    if shape.rows is None:
        if result.rows is None:
            return True
        place = shape.rank - (result.rank - result.rows.axis)
        return place < 0 or shape.sizes[place] == 1
    if result.rows is None:
        return False
    same = shape.rank - shape.rows.axis == result.rank - result.rows.axis
    return same and (shape.rows.outer, shape.rows.inner) == (result.rows.outer, result.rows.inner)


def _apart(shape: Shape, arguments: Arguments, result: Shape) -> bool:
    """Whether the operator's axes are none of the rows'."""
    if shape.rows is None or not _ordered_alike(shape, result):
        return False
    axes = arguments.get("dim", arguments.get("dims"))
    if "start" in arguments and axes % shape.rank == shape.rows.axis:
        return shape == result and arguments["start"] in (0, None) and arguments.get("step", 1) == 1
    if axes is None or axes == []:
        return False
    axes = [axes] if isinstance(axes, int) else axes
    return all(axis % shape.rank != shape.rows.axis for axis in axes)


def _ordered_alike(shape: Shape, result: Shape) -> bool:
    """Whether both have rows, in the same order along their axis."""
    if shape.rows is None or result.rows is None:
        return False
    return (shape.rows.outer, shape.rows.inner) == (result.rows.outer, result.rows.inner)


def _stack(arguments: Arguments, result: Shape) -> bool:
    first, *others = arguments["tensors"]
    return _ordered_alike(first, result) and all(other.rows == first.rows for other in others)


def _linear(arguments: Arguments, result: Shape) -> bool:
    of = arguments["input"]
    rest = (arguments["weight"], arguments.get("bias"))
    return of.rows is not None and of.rows.axis < of.rank - 1 and not any(x is not None and x.rows for x in rest)


def _matmul(arguments: Arguments, result: Shape) -> bool:
    names = ("self", "mat2") if "mat2" in arguments else ("self", "other")
    left, right = (arguments[name] for name in names)
    if min(left.rank, right.rank) < 2 or result.rows is None:
        return False
    places = []
    for shape, contracted in ((left, 1), (right, 2)):
        if shape.rows is not None:
            from_last = shape.rank - shape.rows.axis
            if from_last == contracted:
                return False
            places.append((from_last, shape.rows.outer, shape.rows.inner))
    if len(places) == 2 and (places[0] != places[1] or places[0][0] < 3):
        return False
    return (result.rank - result.rows.axis, result.rows.outer, result.rows.inner) == places[0]


def _addmm(arguments: Arguments, result: Shape) -> bool:
    return arguments["self"].rows is None and _matmul(
        {"self": arguments["mat1"], "mat2": arguments["mat2"]}, result
    )  # fmt: skip


def _einsum(arguments: Arguments, result: Shape) -> bool:
    inputs, arrow, output = arguments["equation"].replace(" ", "").partition("->")
    if not arrow or "." in inputs or result.rows is None or result.rows.each != 1:
        return False
    letter = output[result.rows.axis]
    for letters, shape in zip(inputs.split(","), arguments["tensors"], strict=True):
        mine = None if shape.rows is None else letters[shape.rows.axis]
        if mine is not None and (mine != letter or shape.rows.each != 1 or letters.count(letter) > 1):
            return False
        if mine is None and letter in letters:
            return False
    return True


def _layer_norm(arguments: Arguments, result: Shape) -> bool:
    of, normalised = arguments["input"], len(arguments["normalized_shape"])
    return of.rows is not None and of.rows.axis < of.rank - normalised


def _batch_norm(arguments: Arguments, result: Shape) -> bool:
    of = arguments["input"]
    return of.rows is not None and of.rows.axis != 1 and arguments["training"] is False


def _attention(arguments: Arguments, result: Shape) -> bool:
    tensors = [arguments[name] for name in ("query", "key", "value")]
    mask = arguments.get("attn_mask")
    heads = all(shape.rows is not None and shape.rank - shape.rows.axis >= 3 for shape in tensors)
    return heads and all(_aligned(shape, result) for shape in [*tensors, *([] if mask is None else [mask])])


def _bilinear(arguments: Arguments, result: Shape) -> bool:
    both = [arguments["input1"], arguments["input2"]]
    return all(x.rows is not None and x.rows.axis < x.rank - 1 for x in both) and both[0].rows == both[1].rows


def _embedding(arguments: Arguments, result: Shape) -> bool:
    return arguments["weight"].rows is None and arguments["indices"].rows is not None


def _index(arguments: Arguments, result: Shape) -> bool:
    of, indices = arguments["self"], arguments["indices"]
    given = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    if len(given) != 1:
        return False
    axis, index = given[0]
    if of.rows is None:
        return axis == 0 and index.rows is not None
    return axis != of.rows.axis and index.rows is None


def _index_select(arguments: Arguments, result: Shape) -> bool:
    of, index = arguments["self"], arguments["index"]
    if of.rows is None:
        return index.rows is not None
    return arguments["dim"] % of.rank != of.rows.axis and index.rows is None


TESTS: Mapping[Any, Test] = {
    aten.linear.default: _linear,
    aten.matmul.default: _matmul,
    aten.mm.default: _matmul,
    aten.bmm.default: _matmul,
    aten.addmm.default: _addmm,
    aten.einsum.default: _einsum,
    aten.layer_norm.default: _layer_norm,
    aten.batch_norm.default: _batch_norm,
    aten.scaled_dot_product_attention.default: _attention,
    aten.bilinear.default: _bilinear,
    aten.stack.default: _stack,
    aten.embedding.default: _embedding,
    aten.index.Tensor: _index,
    aten.index_select.default: _index_select,
}


def named(operator: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """An operator's arguments by name, those left out with their default."""
    found = {}
    for place, argument in enumerate(operator._schema.arguments):
        if place < len(args):
            found[argument.name] = args[place]
        else:
            found[argument.name] = kwargs.get(argument.name, argument.default_value)
    return found
