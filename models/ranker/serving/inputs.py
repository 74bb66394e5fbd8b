"""The inputs of a ranker that is served outside of qarm: name, type, shape, where each comes from, and what 0 means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from models.ranker.network.shape import RankerShape
from models.ranker.network.texts.arrays import TEXT_ROWS
from models.ranker.serving.sources import sources
from models.reparameterise.colours import Source
from schemas.examples import HISTORIES
from schemas.feature import BUCKETS, Feature, Reads
from schemas.features import EVENT_FIELDS, FEATURES
from schemas.names import SID_COLUMNS

ROWS = "candidates"
"""Name of the axis that has a row for each candidate."""
PADDING = "no event: padding, which the ranker does not read"


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Numbers of columns that settings decide.

    Attributes:
        recent: events of a ``recent_`` column.
        found: events of a ``found_`` column.
        neighbours: items of ``neighbour_item``.
    """

    recent: int
    found: int
    neighbours: int


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of a ranker.

    Attributes:
        name: name of the column.
        source: ``user``, ``moment``, ``item`` or ``pair``.
        dtype: name of torch's type.
        columns: columns of a row; None if a row is one number.
        below: smallest whole number that is too large, for a row of an embedding table; None for other numbers.
        meaning: what it holds.
        zero: what 0 means.
        parts: what each column holds, where they differ.
    """

    name: str
    source: str
    dtype: str
    columns: int | None
    below: int | None
    meaning: str
    zero: str
    parts: tuple[tuple[str, str], ...] = ()

    @property
    def of_request(self) -> bool:
        """Whether all candidates of a request have the same row."""
        return self.source in (Source.USER.name.lower(), Source.MOMENT.name.lower())

    @property
    def spec(self) -> dict[str, Any]:
        """The input as it is told to who serves the ranker; ``shape`` is that of the rewritten form."""
        told = {name: value for name, value in asdict(self).items() if value is not None and name != "columns"}
        own = [] if self.columns is None else [self.columns]
        told["shape"] = [1 if self.of_request else ROWS, *own]
        told["parts"] = [{"name": name, "meaning": meaning} for name, meaning in self.parts]
        return told if self.parts else {name: value for name, value in told.items() if name != "parts"}


def inputs_of(shape: RankerShape, lengths: Lengths) -> tuple[Input, ...]:
    """The inputs of a ranker, in the order in which it reads them. All candidates of a request are of one moment.

    Args:
        shape: the ranker's shape.
        lengths: numbers of columns that settings decide.
    """
    features = {feature.name: feature for feature in FEATURES}
    found = []
    for name, source in sources(shape, one_day=True).items():
        if name in features:
            found.append(_of_feature(features[name], shape, lengths, source))
        else:
            found.append(_of_event(name, shape, lengths, source))
    return tuple(found)


def _of_feature(feature: Feature, shape: RankerShape, lengths: Lengths, source: Source) -> Input:
    width = lengths.neighbours if feature.width == 0 else feature.width
    below = {Reads.CATEGORY: feature.values, Reads.BUCKET: BUCKETS, Reads.ID: shape.items}.get(feature.reads)
    if feature.name == "text_row":
        below = shape.texts[TEXT_ROWS]
    if feature.name in SID_COLUMNS:
        below = shape.codes[SID_COLUMNS.index(feature.name)]
    return Input(
        name=feature.name, source=source.name.lower(), dtype="int32" if feature.type == "INT" else "float32",
        columns=len(feature.parts) or width, below=below, meaning=feature.comment, zero=feature.zero,
        parts=feature.parts,
    )  # fmt: skip


def _of_event(name: str, shape: RankerShape, lengths: Lengths, source: Source) -> Input:
    history, _, field = name.partition("_")
    columns = {"recent": lengths.recent, "found": lengths.found}[history]
    if field == "score":
        what, below = "cosine similarity of each event's item and the target item", None
    else:
        codes = dict(zip(SID_COLUMNS, shape.codes, strict=True))
        rows = {"item": shape.items, "action": 1 + 2 ** len(shape.tasks), **codes}
        what, below = EVENT_FIELDS[field], rows.get(field, BUCKETS)
    return Input(
        name=name, source=source.name.lower(), dtype="float32" if field == "score" else "int32", columns=columns,
        below=below, meaning=f"{HISTORIES[history]}: {what}", zero=PADDING,
    )  # fmt: skip


def drawn(inputs: Sequence[Input], candidates: int, seed: int) -> tuple[dict[str, torch.Tensor], ...]:
    """A request of random values: the user's and the moment's inputs with one row, and those of the candidates.

    Args:
        inputs: the inputs.
        candidates: number of candidates.
        seed: seed of the values.
    """
    draw = torch.Generator().manual_seed(seed)
    lengths = {name: int(torch.randint(1, 1 + count, (), generator=draw)) for name, count in _histories(inputs)}
    request: dict[str, torch.Tensor] = {}
    asked: dict[str, torch.Tensor] = {}
    for of in inputs:
        size = [1 if of.of_request else candidates, *([] if of.columns is None else [of.columns])]
        if of.dtype == "int32":
            values = torch.randint(0, of.below or 50, size, generator=draw, dtype=torch.int32)
        else:
            values = torch.rand(size, generator=draw)
        if (history := of.name.partition("_")[0]) in HISTORIES:
            values[:, lengths[history] :] = 0
        (request if of.of_request else asked)[of.name] = values
    return request, asked


def _histories(inputs: Sequence[Input]) -> Iterator[tuple[str, int]]:
    for of in inputs:
        if of.name.partition("_")[0] in HISTORIES and of.columns is not None:
            yield of.name.partition("_")[0], of.columns
