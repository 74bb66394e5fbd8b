"""Batches of tensors from the Parquet files of one table snapshot, by Petastorm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from models.feed.row_groups import ParquetFiles, Stretch
from models.feed.shuffling import Rows, ShufflingBuffer


@dataclass(frozen=True)
class Feed:
    """Reads numeric columns of a fixed list of files.

    The list is one version's: a Delta folder also holds files of other versions.

    Several processes share an epoch by shards: the rows of all row groups, in the epoch's order, are laid end to end
    and cut into as many equal parts, at most one row apart. So each row is seen once over all shards, also where there
    are fewer row groups than shards: a row group on a cut is read by both sides, and each keeps its own rows.

    Attributes:
        files: URLs of Parquet files.
        columns: numeric columns, fixed-length lists of such and STRUCTs of such, without nulls.
        batch_size: rows a batch of this shard; the last one may be smaller.
        shuffle_rows: rows in the shuffling buffer; 0 keeps the files' order.
        seed: of the order.
        shard: number of this process's share.
        shards: processes that share the rows.
        parts: of STRUCT columns, the names of their parts, in the order of the columns of the tensor.
    """

    files: Sequence[str]
    columns: Sequence[str]
    _: KW_ONLY
    batch_size: int
    shuffle_rows: int
    seed: int
    shard: int = 0
    shards: int = 1
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("a feed needs at least one file")
        if not 0 <= self.shard < self.shards:
            raise ValueError(f"there is no shard {self.shard} of {self.shards}")

    def sharded(self, shard: int, shards: int) -> Feed:
        """The same rows, shared with other processes."""
        return replace(self, shard=shard, shards=shards)

    @cached_property
    def _parquet(self) -> ParquetFiles:
        return ParquetFiles(self.files)

    @cached_property
    def _row_groups(self) -> list[Stretch]:
        return self._parquet.row_groups()

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(group.stop for group in self._row_groups)

    @property
    def steps(self) -> int:
        """Batches that an epoch of the largest shard has: the same number for every shard.

        A shard's own epoch may end one batch earlier.
        """
        return math.ceil(math.ceil(self.rows / self.shards) / self.batch_size)

    def epoch(self, number: int) -> Iterator[Rows]:
        """Every row of the shard once, in an order that depends on seed, epoch and shard alone.

        Args:
            number: of the epoch.

        Raises:
            ValueError: a column is not there, holds nulls or text, its lists differ in length, or its parts
                are others.
        """
        seed = [self.seed % 2**32, number]  # the same for all shards: they cut one order
        groups = self._row_groups
        if self.shuffle_rows:
            order = np.random.default_rng(seed).permutation(len(groups))
            groups = [groups[place] for place in order]
        own = _between(groups, self.rows * self.shard // self.shards, self.rows * (self.shard + 1) // self.shards)
        columns = {name: self.parts.get(name, ()) for name in self.columns}
        pieces: Iterable[Rows] = self._parquet.read(columns, own) if own else ()
        if not self.shuffle_rows:
            return _in_order(pieces, self.batch_size)
        generator = np.random.default_rng([*seed, self.shard])
        return _shuffled(pieces, self.batch_size, ShufflingBuffer(self.shuffle_rows, generator))


def _between(groups: Sequence[Stretch], first: int, last: int) -> list[Stretch]:
    """What lies between two places of the row groups laid end to end."""
    found, at = [], 0
    for group in groups:
        start, stop = max(first - at, 0), min(last - at, group.stop)
        if start < stop:
            found.append(replace(group, start=start, stop=stop))
        at += group.stop
    return found


def _in_order(pieces: Iterable[Rows], batch_size: int) -> Iterator[Rows]:
    held: Rows = {}
    for piece in pieces:
        held = {name: torch.cat([held[name], piece[name]]) for name in piece} if held else piece
        while _length(held) >= batch_size:
            yield {name: column[:batch_size] for name, column in held.items()}
            held = {name: column[batch_size:] for name, column in held.items()}
    if held and _length(held):
        yield held


def _shuffled(pieces: Iterable[Rows], batch_size: int, buffer: ShufflingBuffer) -> Iterator[Rows]:
    for piece in pieces:
        buffer.add(piece)
        while buffer.size >= buffer.least + batch_size:
            yield buffer.take(batch_size)
    while buffer.size:
        yield buffer.take(min(batch_size, buffer.size))


def _length(rows: Rows) -> int:
    return len(next(iter(rows.values())))
