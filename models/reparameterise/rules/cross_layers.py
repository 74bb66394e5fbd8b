"""Cross layers read through: ``(u * (x W + b)) V = x (W diag(u) V) + (u * b) V`` in the user's columns ``u``.

DCN-v2 multiplies its input ``x0``, entry by entry, with a linear layer of ``x``, and a product reads the result. In the
columns in which ``x0`` is the user's, the result is linear in ``x``, with weights that are made once a request. So no
candidate needs these columns, nor these outputs of the linear layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch

from models.reparameterise.build import Build, Columns, Layer
from models.reparameterise.colours import Stage
from models.reparameterise.mixes import have_rows, joined, pointwise
from models.reparameterise.shapes import Rows
from models.reparameterise.values import Mix, Part, Plain, Value

aten = torch.ops.aten
CALLS = 6
"""More calls of operators once a request, for each cross layer that is read through."""


@dataclass
class ReadThrough:
    """What a product with a mix computes that reads through some cross layers.

    Attributes:
        parts: summands of the mix that are read as they are.
        columns: tensors with a row for each candidate, with the weights of shape (outputs, width) that read them.
        vectors: summands of the request's, each of shape (outputs,).
        once: multiplications once a request.
        saved: multiplications that are no longer made for candidates before this product.
    """

    parts: list[Part] = field(default_factory=list)
    columns: list[tuple[Plain, Plain]] = field(default_factory=list)
    vectors: list[Plain] = field(default_factory=list)
    once: int = 0
    saved: int = 0

    def width(self, beside: set[Plain]) -> int:
        """Number of columns that candidates need beside some tensors."""
        return sum(value.sizes[1] for value in {value for value, _ in self.columns} - beside)


@dataclass(frozen=True)
class _Cross:
    """A tensor that is a product, entry by entry, of ``left`` and a linear layer.

    Attributes:
        left: tensors side by side.
        layer: the linear layer.
        read: what the linear layer reads.
    """

    left: tuple[Part, ...]
    layer: Layer
    read: tuple[Part, ...]

    @property
    def of_user(self) -> list[Part]:
        """The pieces of ``left`` that have one row for all candidates."""
        return [part for part in self.left if not part.value.stage.repeats]

    @property
    def others(self) -> list[tuple[Part, ...]]:
        """The pieces of ``left`` with a row for each candidate, neighbours together."""
        runs = groupby(self.left, lambda part: part.value.stage.repeats)
        return [tuple(run) for repeats, run in runs if repeats]

    @property
    def many(self) -> list[Part]:
        """What the linear layer reads that has a row for each candidate."""
        return [part for part in self.read if part.value.stage.repeats]

    @property
    def width_of_user(self) -> int:
        """Number of columns of the user's."""
        return sum(part.width for part in self.of_user)


def read_through(build: Build, mix: Mix, weight: Plain) -> ReadThrough | None:
    """Reads through the cross layers among a mix's parts, and through those that they read, where that pays.

    Args:
        build: the graphs.
        mix: shape (rows, columns).
        weight: constant weights, shape (outputs, columns).

    Returns:
        None where there is no such part.
    """
    if (
        not build.costs.cross
        or mix.rank != 2
        or mix.rows != Rows(0)
        or not all(have_rows(part.value, part.scale) for part in mix.parts)
    ):
        return None
    shared = {part.value for part in mix.parts if part.scale is None and _is_column(build, part.value)}
    found, waiting = ReadThrough(), dict[Plain, Plain]()
    for part in mix.parts:
        if cross_of(build, part) is None:
            found.parts.append(part)
        else:
            _add(build, waiting, part.value, _weights(build, weight.val, [part]))
    order = {value: place for place, value in enumerate(build.factors)}
    through = 0
    while waiting:  # the latest first: it reads earlier ones, each of which is then read once
        value = max(waiting, key=order.__getitem__)
        own = waiting.pop(value)
        cross = cross_of(build, Part(0, value.sizes[1], value))
        if cross is None or not _pays(build, cross, own.sizes[0], shared):
            found.columns.append((value, own))
            continue
        through += 1
        for run in cross.others:
            found.columns.append((_piece(build, value, cross, run), _cut(build, own, list(run))))
        for part, inner in _inner(build, found, cross, own):
            if cross_of(build, part) is None:
                found.columns.append((part.value, inner))
            else:
                _add(build, waiting, part.value, inner)
    return found if through else None


def cross_of(build: Build, part: Part) -> _Cross | None:
    """The cross layer that a part is the result of, if some of its columns are the user's."""
    value = part.value
    if part.scale is not None or value not in build.factors or value.rank != 2 or part.width != value.sizes[1]:
        return None
    one, other = build.factors[value]
    for left, right in ((one, other), (other, one)):
        layer = build.layers.get(right) if isinstance(right, Plain) else None
        if layer is None or not left.sizes == right.sizes == value.sizes:
            continue
        if isinstance(left, Mix) and not left.side_by_side:
            continue
        found = _Cross(_parts(left), layer, _parts(layer.value))
        pieces = (*found.left, *found.read)
        alike = {part.value.val.dtype for part in pieces} == {value.val.dtype} == {layer.weight.val.dtype}
        if alike and found.of_user and found.many and all(map(_simple, pieces)):
            return found
    return None


def _parts(value: Value) -> tuple[Part, ...]:
    return value.parts if isinstance(value, Mix) else (Part(0, value.sizes[-1], value),)


def _simple(part: Part) -> bool:
    """Whether a part has one row of all its columns, or one for each candidate."""
    value = part.value
    if part.scale is not None or value.rank != 2 or value.spread(1):
        return False
    return value.rows == Rows(0) if value.stage.repeats else value.val.shape[0] == 1


def _is_column(build: Build, value: Plain) -> bool:
    """Whether a product that reads a tensor multiplies it for every candidate."""
    return value.stage.repeats and not (value.stage == Stage.ITEM and build.costs.items_once)


def _pays(build: Build, cross: _Cross, outputs: int, shared: set[Plain]) -> bool:
    """Whether fewer multiplications are left, if nothing else reads the user's columns of the cross layer.

    Args:
        build: the graphs.
        cross: the cross layer.
        outputs: outputs of the product that reads it.
        shared: tensors whose columns, or whose pieces, the product reads anyway.
    """
    more = sum(_needed(build, part) for part in cross.many if part.value not in shared)
    n, columns = build.costs.candidates, cross.width_of_user
    once = _once(cross, outputs) + CALLS * build.costs.call
    return n * outputs * more + once < n * outputs * columns + _saved(build, cross)


def _once(cross: _Cross, outputs: int) -> int:
    return outputs * cross.width_of_user * sum(part.width for part in cross.many)


def _saved(build: Build, cross: _Cross) -> int:
    """Multiplications of the outputs of the cross layer's linear layer that no candidate needs."""
    read = sum(_needed(build, part) for part in cross.many if _is_column(build, part.value))
    return build.costs.candidates * cross.width_of_user * read


def _needed(build: Build, part: Part) -> int:
    """Columns that candidates need of a part if it is read through where it can be."""
    inner = cross_of(build, part)
    return part.width if inner is None else part.width - inner.width_of_user


def _add(build: Build, waiting: dict[Plain, Plain], value: Plain, weight: Plain) -> None:
    before = waiting.get(value)
    waiting[value] = weight if before is None else build.emit(aten.add.Tensor, before, weight, rows=None)


def _piece(build: Build, value: Plain, cross: _Cross, run: tuple[Part, ...]) -> Plain:
    """Some columns of a cross layer, computed for themselves."""
    key = (value, run[0].start)
    if key not in build.pieces:
        left = joined(build, [part.value for part in run], 1)
        build.pieces[key] = pointwise(build, aten.mul.Tensor, left, cross.layer.some(_columns(run)))
    return build.pieces[key]


def _inner(build: Build, found: ReadThrough, cross: _Cross, weight: Plain) -> Iterator[tuple[Part, Plain]]:
    """Reads through the user's columns of a cross layer.

    Args:
        build: the graphs.
        found: gets what is the request's alone.
        cross: the cross layer.
        weight: weights that read the cross layer, shape (outputs, its columns).

    Yields:
        What the cross layer's linear layer reads, and the weights that read it, shape (outputs, its columns).
    """
    of_user = joined(build, [part.value for part in cross.of_user], 1)
    row = build.emit(aten.reshape.default, of_user, [-1], rows=None)
    own = build.emit(aten.mul.Tensor, _cut(build, weight, cross.of_user), row, rows=None)
    vector, many = _outputs(build, cross)
    if vector is not None:
        found.vectors.append(build.emit(aten.matmul.default, own, vector, rows=None))
    inner, start = build.emit(aten.matmul.default, own, many, rows=None), 0
    found.once += _once(cross, weight.sizes[0])
    found.saved += _saved(build, cross)
    for part in cross.many:
        yield part, _cut(build, inner, [Part(start, part.width, part.value)])
        start += part.width


def _outputs(build: Build, cross: _Cross) -> tuple[Plain | None, Plain]:
    """The linear layer's outputs in the user's columns, once for all products that read through it.

    Returns:
        What they are of the request's alone, shape (columns,), None for nothing; and their weights for what has a row
        for each candidate, shape (columns, width).
    """
    columns, layer = _columns(cross.of_user), cross.layer
    key = (layer, columns)
    if key not in build.outputs:
        places = [place for run in columns for place in run]
        rows = layer.weight.val[places]
        vector = None if layer.bias is None else build.constant(layer.bias.val[places])
        once = [part for part in cross.read if not part.value.stage.repeats]
        if once:
            values = joined(build, [part.value for part in once], 1)
            vector = build.emit(aten.linear.default, values, _weights(build, rows, once), vector, rows=values.rows)
            vector = build.emit(aten.reshape.default, vector, [-1], rows=None)
        build.outputs[key] = (vector, _weights(build, rows, cross.many))
    return build.outputs[key]


def _weights(build: Build, weight: torch.Tensor, parts: Sequence[Part]) -> Plain:
    """The weights that read some parts, side by side."""
    pieces = [weight[:, part.start : part.start + part.width] * part.factor for part in parts]
    return build.constant(torch.cat(pieces, dim=1))


def _columns(parts: Sequence[Part]) -> Columns:
    return tuple(range(part.start, part.start + part.width) for part in parts)


def _cut(build: Build, weight: Plain, parts: Sequence[Part]) -> Plain:
    """The columns of weights that read some parts."""
    if sum(part.width for part in parts) == weight.sizes[1]:
        return weight
    pieces = [build.emit(aten.slice.Tensor, weight, 1, run.start, run.stop, rows=None) for run in _columns(parts)]
    return pieces[0] if len(pieces) == 1 else build.emit(aten.cat.default, pieces, 1, rows=None)
