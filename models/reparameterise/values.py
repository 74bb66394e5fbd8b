"""What the pass computes with: tensors of a stage, and sums of tensors of several stages that are not yet added up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from models.reparameterise.colours import Stage
from models.reparameterise.shapes import Rows


@dataclass(frozen=True, eq=False)
class Plain:
    """A tensor that one stage computes.

    Attributes:
        stage: the stage.
        node: the node of the stage's graph; None for a constant.
        val: a constant's values; for other stages a tensor without data, of the shape that it has for the number of
            candidates that the costs name.
        sizes: its shape for one row, as the ranker sees it. An axis of 1 in ``val`` may stand for more entries that are
            all equal.
        rows: where its rows are; None if it has none.
    """

    stage: Stage
    node: fx.Node | None
    val: torch.Tensor
    sizes: tuple[int, ...]
    rows: Rows | None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.sizes)

    @property
    def single(self) -> bool:
        """Whether it has one row for all candidates."""
        return self.rows is not None and not self.stage.repeats

    def spread(self, axis: int) -> bool:
        """Whether an axis is stored once for several equal entries."""
        if self.rows is not None and axis == self.rows.axis:
            return False
        return self.val.shape[axis] != self.sizes[axis]


@dataclass(frozen=True, eq=False)
class Part:
    """One summand of a :class:`Mix`: ``factor * scale * value`` in some columns, and 0 in the others.

    Attributes:
        start: its first column.
        width: number of its columns.
        value: shape as the whole's, with ``width`` entries along the columns' axis.
        factor: a number.
        scale: a tensor with 1 entry along the columns' axis; None for 1.
    """

    start: int
    width: int
    value: Plain
    factor: float = 1.0
    scale: Plain | None = None

    @property
    def bare(self) -> bool:
        """Whether it is its value as it is."""
        return self.factor == 1.0 and self.scale is None


@dataclass(frozen=True, eq=False)
class Mix:
    """A tensor as a sum of parts of different stages, each in some of its columns.

    A concatenation has parts side by side, a sum has parts in the same columns. What is linear in the tensor is
    computed from each part in its own stage.

    Attributes:
        axis: the axis that the columns lie along.
        parts: the summands.
        sizes: shape for one row.
        rows: where the rows are.
        direct: computes it in the ranker's own way; None to add up the parts.
    """

    axis: int
    parts: tuple[Part, ...]
    sizes: tuple[int, ...]
    rows: Rows | None
    direct: Callable[[], Plain] | None = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.sizes)

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.sizes[self.axis]

    @property
    def side_by_side(self) -> bool:
        """Whether each column belongs to one part, which is its value as it is."""
        place = 0
        for part in self.parts:
            if part.start != place or not part.bare:
                return False
            place += part.width
        return place == self.width


Value = Plain | Mix


def plains(tree: Any) -> Iterator[Plain]:
    """The tensors in nested arguments."""
    if isinstance(tree, Plain):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from plains(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from plains(value)


def each_mapped(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """Nested arguments with every leaf mapped."""
    if isinstance(tree, Mapping):
        return {name: each_mapped(value, leaf) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        mapped = [each_mapped(value, leaf) for value in tree]
        return tuple(mapped) if isinstance(tree, tuple) else mapped
    return leaf(tree)
