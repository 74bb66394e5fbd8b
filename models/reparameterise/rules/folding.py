"""A candidate's vector times each of a user's vectors, as a factor of the weights: ``(q * k) W = q (k * W)``.

DIN reads ``[q, k, q - k, q * k]`` for every candidate and event. With the user's keys folded into the weights, once a
request, this is one product of the candidates' queries: ``q`` meets a matrix with a block for each event, and all that
depends on the event alone is its bias. Nothing with a row for each candidate and event is written but the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from models.reparameterise.build import Build
from models.reparameterise.colours import Stage
from models.reparameterise.mixes import joined, plain, pointwise
from models.reparameterise.shapes import Rows
from models.reparameterise.values import Mix, Part, Plain

aten = torch.ops.aten


@dataclass
class _Terms:
    """The summands of a product.

    Attributes:
        query: the candidates' vectors, shape (n, 1, width).
        of_query: weights that read the query itself.
        keys: the user's vectors that it is multiplied with, each with the weights that read the product.
        of_events: what depends on the events alone, with its weights.
    """

    query: Plain | None = None
    of_query: list[torch.Tensor] = field(default_factory=list)
    keys: list[tuple[Plain, torch.Tensor]] = field(default_factory=list)
    of_events: list[tuple[Plain, torch.Tensor]] = field(default_factory=list)


def folded(build: Build, mix: Mix, weight: Plain, bias: Plain | None) -> Plain | None:
    """``mix @ weight.T + bias`` by folding the user's vectors into the weights; None where a part is of another kind.

    Args:
        build: the graphs.
        mix: shape (rows, events, columns), the columns along the last axis.
        weight: constant weights, shape (outputs, columns).
        bias: constant bias; None for none.
    """
    if mix.rank != 3 or mix.rows != Rows(0) or any(part.scale is not None for part in mix.parts):
        return None
    events, outputs = mix.sizes[1], weight.sizes[0]
    terms = _Terms()
    if not all(_taken(terms, part, _factors_of(build, part), weight.val, events=events) for part in mix.parts):
        return None
    if terms.query is None or not terms.keys:
        return None
    width = terms.query.sizes[2]
    if not all(key.val.shape[2] == width for key, _ in terms.keys) or width >= mix.width:
        return None
    build.notes.append("the user's vectors folded into the weights")
    blocks = _blocks(build, terms, events, outputs)
    vector = _vector(build, terms, events, bias)
    query = build.emit(aten.reshape.default, terms.query, [-1, width], rows=Rows(0), sizes=(1, width))
    product = build.emit(
        aten.linear.default, query, blocks, vector, rows=Rows(0), sizes=(1, events * outputs), stage=Stage.PAIR
    )  # fmt: skip
    return build.emit(aten.reshape.default, product, [-1, events, outputs], rows=Rows(0), sizes=(1, events, outputs))


def _factors_of(build: Build, part: Part) -> tuple[Plain, ...]:
    """The two tensors that a part is the product of, or the part itself."""
    return tuple(plain(build, factor) for factor in build.factors.get(part.value, (part.value,)))


def _taken(terms: _Terms, part: Part, factors: tuple[Plain, ...], weight: torch.Tensor, *, events: int) -> bool:
    """Enters a part into the terms; False if it is of none of their kinds."""
    piece = weight[:, part.start : part.start + part.width] * part.factor
    value = part.value
    if not value.stage.repeats:
        terms.of_events.append((value, piece))
        return value.rank == 3 and value.val.shape[1] in (1, events)
    if any(factor.rank != 3 or factor.spread(2) or factor.sizes[2] != part.width for factor in factors):
        return False  # one number for all columns, as in q[:, :1] * k
    queries = [factor for factor in factors if factor.stage.repeats]
    keys = [factor for factor in factors if factor.stage == Stage.REQUEST]
    if len(queries) != 1 or len(keys) != len(factors) - 1 or queries[0].val.shape[1] != 1:
        return False
    if terms.query is not None and terms.query.node is not queries[0].node:
        return False
    terms.query = queries[0]
    if not keys:
        terms.of_query.append(piece)
        return True
    terms.keys.append((keys[0], piece))
    return keys[0].val.shape[1] == events


def _blocks(build: Build, terms: _Terms, events: int, outputs: int) -> Plain:
    """The weights with a block for each event, shape (events * outputs, width)."""
    total: Plain | None = None
    for key, piece in terms.keys:
        width = piece.shape[1]
        apart = build.emit(aten.reshape.default, key, [events, 1, width], rows=None)
        block = build.emit(aten.mul.Tensor, apart, build.constant(piece.contiguous()), rows=None)
        total = block if total is None else build.emit(aten.add.Tensor, total, block, rows=None)
    assert total is not None
    if terms.of_query:
        shared = build.constant(torch.stack(terms.of_query).sum(0))
        total = build.emit(aten.add.Tensor, total, shared, rows=None)
    return build.emit(aten.reshape.default, total, [events * outputs, -1], rows=None)


def _vector(build: Build, terms: _Terms, events: int, bias: Plain | None) -> Plain | None:
    """What every event adds to its block, shape (events * outputs,)."""
    if not terms.of_events:
        return None if bias is None else build.constant(bias.val.repeat(events))
    values = joined(build, [value for value, _ in terms.of_events], 2)
    weight = build.constant(torch.cat([piece for _, piece in terms.of_events], dim=1))
    sizes = (*values.sizes[:-1], len(weight.val))
    added = build.emit(aten.linear.default, values, weight, bias, rows=values.rows, sizes=sizes)
    if added.val.shape[1] == 1 and events > 1:
        nothing = build.constant(torch.zeros(1, events, 1, dtype=added.val.dtype))
        added = pointwise(build, aten.add.Tensor, added, nothing)
    return build.emit(aten.reshape.default, added, [-1], rows=None)
