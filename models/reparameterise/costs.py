"""What a rewriting costs and saves, in multiplications."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

aten = torch.ops.aten


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The load that a ranker is rewritten for, and what an operator costs beside its multiplications.

    The two prices are estimates for one x86 core and matrix products of float32: they only decide what is worth
    rewriting, never what comes out.

    Attributes:
        candidates: candidates of a request.
        items_once: whether what depends on the item alone is kept in a table for the whole catalogue, so that it costs
            nothing when a request is scored.
        split: whether products are split. If not, only what depends on the request alone is computed once, and repeated
            where it meets the candidates: the user-side one-shot that MaRI is compared with.
        cross: whether products read through cross layers (:mod:`models.reparameterise.rules.cross_layers`) where that
            pays if nothing else reads these; the pass also counts a rewriting without it, and takes the smaller.
        addition: multiplications in the time in which one number of an added tensor is read and written.
        call: multiplications in the time of one more call of an operator.
    """

    candidates: int = 1_000
    items_once: bool = False
    split: bool = True
    cross: bool = True
    addition: float = 8.0
    call: float = 60_000.0

    def __post_init__(self) -> None:
        if self.candidates < 2:
            raise ValueError(f"candidates: with {self.candidates} there is nothing to compute once; give 2 or more")


def multiplications(operator: Any, operands: list[torch.Tensor], result: torch.Tensor, equation: str = "") -> int:
    """Multiplications of one call: of matrix products, of products entry by entry, and of normalisations.

    Args:
        operator: the ATen operator.
        operands: its tensors, in order; only their shapes are read.
        result: its result; only the shape is read.
        equation: equation of an ``einsum``.
    """
    if operator in PRODUCTS:
        return result.numel() * operands[PRODUCTS[operator]].shape[-1]
    if operator == aten.einsum.default:
        sizes: dict[str, int] = {}
        for letters, tensor in zip(equation.replace(" ", "").split("->")[0].split(","), operands, strict=True):
            for letter, size in zip(letters, tensor.shape, strict=True):
                sizes[letter] = max(size, sizes.get(letter, 1))
        return math.prod(sizes.values()) * max(1, len(operands) - 1)
    if operator == aten.bilinear.default:
        left, right = operands[0].shape[-1], operands[1].shape[-1]
        return result.numel() * left * right + result.numel() * right
    if operator == aten.scaled_dot_product_attention.default:
        query, key, value = operands[:3]
        return query.numel() * key.shape[-2] + query.numel() // query.shape[-1] * key.shape[-2] * value.shape[-1]
    if operator in NORMS:
        return 2 * result.numel()
    return result.numel() if operator in ENTRYWISE else 0


PRODUCTS = {
    aten.linear.default: 0,
    aten.matmul.default: 0,
    aten.mm.default: 0,
    aten.mv.default: 0,
    aten.bmm.default: 0,
    aten.addmm.default: 1,
}
"""Matrix products, with the operand whose last axis is summed over."""
NORMS = {aten.layer_norm.default, aten.batch_norm.default}
ENTRYWISE = {
    aten.mul.Tensor,
    aten.mul_.Tensor,
    aten.mul.Scalar,
    aten.div.Tensor,
    aten.div.Scalar,
    aten.pow.Tensor_Scalar,
}
