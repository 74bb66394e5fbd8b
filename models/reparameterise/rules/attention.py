"""Products of two activations: attention over a user's history, inner products between fields, bilinear products.

A user's keys and values are one matrix for all candidates. The candidates' queries are its rows, so a request takes one
large product and not one small product a candidate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch

from models.reparameterise.build import Build
from models.reparameterise.colours import Stage, join_stages
from models.reparameterise.mixes import broadcast_rows, broadcast_sizes, columns, cut, plain, pointwise
from models.reparameterise.rules.table import Call, Result, rule
from models.reparameterise.values import Mix, Part, Plain, Value

aten = torch.ops.aten
LETTERS = "abcdefghijklmnop"


def product_of_activations(build: Build, call: Call, left: Value, right: Value) -> Result:
    """``left @ right`` where both depend on inputs; None where neither has single rows or parts."""
    if min(left.rank, right.rank) < 2 or left.rank != right.rank or left.rank > len(LETTERS) - 3:
        return None
    if not (_apart(left) or _apart(right) or _differ(left, right)):
        return None
    build.notes.append("a product for each stage")
    return multiplied(build, left, right)


def _apart(value: Value) -> bool:
    return isinstance(value, Mix) and value.axis >= value.rank - 2


def _differ(left: Value, right: Value) -> bool:
    """Whether one has a single row and the other many."""
    stages = [join_stages(p.value.stage for p in x.parts) if isinstance(x, Mix) else x.stage for x in (left, right)]
    return stages[0].repeats != stages[1].repeats


@rule(aten.bmm.default)
def batched_product(build: Build, call: Call) -> Result:
    """A product of matrices, row by row."""
    return product_of_activations(build, call, *call.args)


def multiplied(build: Build, left: Value, right: Value) -> Value:
    """``left @ right``, with the parts of each in their own stages."""
    rank = left.rank
    if isinstance(left, Mix) and left.axis == rank - 2:
        return _blocks(build, left, lambda piece: plain(build, multiplied(build, piece, right)), right.sizes[-1])
    if isinstance(right, Mix) and right.axis == rank - 1:
        return _blocks(build, right, lambda piece: plain(build, multiplied(build, left, piece)), left.sizes[-2])
    if isinstance(left, Mix) and left.axis == rank - 1:
        return _contracted(build, left, right, at_left=True)
    if isinstance(right, Mix) and right.axis == rank - 2:
        return _contracted(build, right, left, at_left=False)
    return _plain_product(build, plain(build, left), plain(build, right))


def _blocks(build: Build, mix: Mix, product: Callable[[Plain], Plain], other: int) -> Mix:
    """Products of the rows or the columns of a mix, side by side."""
    found = [(start, product(piece)) for start, piece in columns(build, mix)]
    axis = mix.axis
    parts = [Part(start, value.sizes[axis], build.dense(value, axis)) for start, value in found]
    sizes = list(broadcast_sizes(*(value.sizes[:-2] for _, value in found)))
    both = [mix.width, other] if axis == mix.rank - 2 else [other, mix.width]
    return Mix(axis, tuple(parts), (*sizes, *both), broadcast_rows([v for _, v in found], mix.rank))


def _contracted(build: Build, mix: Mix, other: Value, *, at_left: bool) -> Plain:
    """A product whose sum runs over the columns of a mix: the sum of the products of its pieces."""
    whole = plain(build, other)
    axis = mix.rank - 2 if at_left else mix.rank - 1
    total: Plain | None = None
    for start, piece in sorted(columns(build, mix), key=lambda found: found[1].stage):
        with_it = cut(build, whole, axis, range(start, start + piece.sizes[mix.axis]))
        both = (piece, with_it) if at_left else (with_it, piece)
        product = _plain_product(build, *both)
        total = product if total is None else pointwise(build, aten.add.Tensor, total, product)
    return cast(Plain, total)


def _plain_product(build: Build, left: Plain, right: Plain) -> Plain:
    rank = left.rank
    left, right = (build.dense(x, rank - 2, rank - 1) for x in (left, right))
    rows = broadcast_rows((left, right), rank)
    sizes = (*broadcast_sizes(left.sizes[:-2], right.sizes[:-2]), left.sizes[-2], right.sizes[-1])
    if rows is not None and rows.each > 1:
        stage = join_stages((left.stage, right.stage))
        left, right = (build.repeated(x, stage) for x in (left, right))
    if left.single == right.single and left.stage.repeats == right.stage.repeats:
        return build.emit(aten.matmul.default, left, right, rows=rows, sizes=sizes)
    outer = LETTERS[3 : 3 + rank - 2]
    return build.emit(
        aten.einsum.default, f"{outer}ab,{outer}bc->{outer}ac", [left, right], rows=rows, sizes=sizes
    )  # fmt: skip


@rule(aten.scaled_dot_product_attention.default)
def attention(build: Build, call: Call) -> Result:
    """Softmax attention, with products by stage where queries, keys or values differ in stage."""
    query, key, value = (call.named[name] for name in ("query", "key", "value"))
    mask = call.named["attn_mask"]
    if call.named["is_causal"] or call.named.get("enable_gqa") or len({query.rank, key.rank, value.rank}) != 1:
        return None
    tensors = [query, key, value, *([] if mask is None else [mask])]
    stages = {join_stages(p.value.stage for p in x.parts) if isinstance(x, Mix) else x.stage for x in tensors}
    if len({stage.repeats for stage in stages}) == 1:
        return None
    build.notes.append("the user's keys and values once")
    scale = call.named["scale"] or 1 / math.sqrt(query.sizes[-1])
    query = pointwise(build, aten.mul.Tensor, plain(build, query), scale)
    logits = plain(build, multiplied(build, query, transposed(build, key)))
    if mask is not None:
        mask = plain(build, mask)
        if mask.val.dtype == torch.bool:
            lowest = build.constant(torch.tensor(float("-inf"), dtype=logits.val.dtype))
            logits = pointwise(build, aten.where.self, mask, logits, lowest)
        else:
            logits = pointwise(build, aten.add.Tensor, logits, mask)
    logits = build.dense(logits)
    if mask is None:
        weights = build.emit(aten._softmax.default, logits, -1, False, rows=logits.rows)
    else:  # 0 where all is masked
        weights = build.emit(aten._safe_softmax.default, logits, -1, rows=logits.rows)
    return multiplied(build, weights, value)


def transposed(build: Build, value: Value) -> Value:
    """A value with its last two axes exchanged."""
    from models.reparameterise.rules.arrangement import permuted

    order = [*range(value.rank - 2), value.rank - 1, value.rank - 2]
    return permuted(build, value, order)


@rule(aten.bilinear.default)
def bilinear(build: Build, call: Call) -> Result:
    """``x1^T W x2 + b``: the side of the earlier stage meets the weights first."""
    left, right = (plain(build, call.named[name]) for name in ("input1", "input2"))
    weight, bias = call.named["weight"], call.named["bias"]
    if left.stage.repeats == right.stage.repeats or left.rank != 2 or weight.stage != Stage.CONSTANT:
        return None
    build.notes.append("the earlier side meets the weights first")
    first, letter, other, rest = (left, "i", right, "j") if not left.stage.repeats else (right, "j", left, "i")
    half = build.emit(aten.einsum.default, f"b{letter},oij->bo{rest}", [first, weight], rows=first.rows)
    rows = broadcast_rows((left, right), 2)
    product = build.emit(aten.einsum.default, f"bo{rest},b{rest}->bo", [half, other], rows=rows)
    return product if bias is None else pointwise(build, aten.add.Tensor, product, bias)
