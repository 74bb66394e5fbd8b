"""How results of the items' graph reach the pairs' graph: with a row for each item, as a table keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from models.reparameterise.colours import Stage
from models.reparameterise.shapes import Rows
from models.reparameterise.values import Plain

if TYPE_CHECKING:
    from models.reparameterise.build import Build

aten = torch.ops.aten


def by_item(build: Build, plain: Plain) -> Plain:
    """A result of the items' graph in the pairs' graph; between the two, its rows are the first axis.

    Args:
        build: the graphs.
        plain: a result of the items' graph with its rows elsewhere.
    """
    if plain not in build.by_item:
        rows = plain.rows
        assert rows is not None
        before, after = list(plain.val.shape[: rows.axis]), list(plain.val.shape[rows.axis + 1 :])
        at = rows.axis + 1
        apart = build.emit(aten.reshape.default, plain, [*before, rows.outer, -1, rows.inner, *after], rows=Rows(at))
        order = [at, *(axis for axis in range(apart.rank) if axis != at)]
        table = build.emit(aten.permute.default, apart, order, rows=Rows(0))
        back = [order.index(axis) for axis in range(apart.rank)]
        own = build.emit(aten.permute.default, table, back, rows=Rows(at), stage=Stage.PAIR)
        build.by_item[plain] = build.emit(
            aten.reshape.default, own, [*before, -1, *after], rows=rows, sizes=plain.sizes, stage=Stage.PAIR
        )
    return build.by_item[plain]
