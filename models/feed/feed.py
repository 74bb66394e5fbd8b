"""Reads the Parquet files of one table snapshot as batches of tensors."""

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
    """Reads numeric columns from a fixed list of Parquet files.

    The list names the files of one table version, because a Delta folder also holds files of other versions.

    Several processes share an epoch by shards: the rows of all row groups, in the epoch's order, are concatenated and
    divided into ``shards`` contiguous parts, whose sizes differ by at most one row. Each row is therefore read by
    exactly one shard, even with fewer row groups than shards: two shards that meet inside a row group both read it, and
    each keeps its own rows.

    Attributes:
        files: URLs of Parquet files.
        columns: names of columns of numbers, of fixed-length lists of numbers or of STRUCTs of numbers, without nulls.
        batch_size: rows in a batch of this shard; the last batch of an epoch may be smaller.
        shuffle_rows: rows in the shuffling buffer; 0 keeps the files' order.
        seed: random seed of the order.
        shard: index of this process's shard.
        shards: number of processes that share the rows.
        parts: for each STRUCT column, the names of its fields in the order of the tensor's columns.
        replayed: further files, of which each epoch reads a sample: whole row groups, the last one in part. It is a
            fair sample of the rows where the order within files is that of a hash.
        replayed_rows: rows of the sample, at most all of them.
        shares: share of the rows that is read, the first ones of a file, by URL of those files that are not read as a
            whole. It is a fair sample where the order within files is that of a hash.
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
    replayed: Sequence[str] = ()
    replayed_rows: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("a feed needs at least one Parquet file, and its table has none; build the table again")
        if not 0 <= self.shard < self.shards:
            raise ValueError(f"shard must be from 0 to {self.shards - 1}, not {self.shard}")

    def sharded(self, shard: int, shards: int) -> Feed:
        """The same feed, restricted to one of ``shards`` shards."""
        return replace(self, shard=shard, shards=shards)

    @cached_property
    def _parquet(self) -> ParquetFiles:
        return ParquetFiles(self._urls)

    @property
    def _urls(self) -> list[str]:
        return [*self.files, *(self.replayed if self.replayed_rows else ())]

    @cached_property
    def _all_row_groups(self) -> tuple[list[Stretch], list[Stretch]]:
        own = {*self._parquet.paths[: len(self.files)]}
        groups = self._parquet.row_groups()
        for path, url in zip(self._parquet.paths, self._urls, strict=True):
            if url in self.shares:
                of_file = [g for g in groups if g.path == path]
                first = _between(of_file, 0, math.ceil(self.shares[url] * sum(g.rows for g in of_file)))
                groups = [g for g in groups if g.path != path] + first
        return [g for g in groups if g.path in own], [g for g in groups if g.path not in own]

    @property
    def _row_groups(self) -> list[Stretch]:
        return self._all_row_groups[0]

    @property
    def _replayed_groups(self) -> list[Stretch]:
        return self._all_row_groups[1]

    @property
    def rows(self) -> int:
        """Number of rows of an epoch over all shards."""
        own, replayed = (sum(g.rows for g in groups) for groups in (self._row_groups, self._replayed_groups))
        return own + min(replayed, self.replayed_rows)

    def _sample(self, generator: np.random.Generator) -> list[Stretch]:
        """Row groups of the replayed files that hold ``replayed_rows`` rows."""
        sample, missing = [], self.replayed_rows
        for place in generator.permutation(len(self._replayed_groups)):
            group = self._replayed_groups[place]
            taken = min(group.rows, missing)
            start = int(generator.integers(0, group.rows - taken + 1))
            if taken:
                sample.append(replace(group, start=start, stop=start + taken))
            missing -= taken
        return sample

    @property
    def steps(self) -> int:
        """Number of batches in an epoch of the largest shard; the epoch of another shard may be one batch shorter."""
        return math.ceil(math.ceil(self.rows / self.shards) / self.batch_size)

    def epoch(self, number: int) -> Iterator[Rows]:
        """Reads every row of the shard once, in an order that depends only on the seed, the epoch and the shard.

        Args:
            number: number of the epoch.

        Raises:
            ValueError: a column is missing, contains nulls or text, has lists of different lengths, or is a STRUCT with
                other fields than ``parts``.
        """
        seed = [self.seed % 2**32, number]  # the same for all shards, because they divide one order
        groups = self._row_groups
        if self.shuffle_rows:
            generator = np.random.default_rng(seed)
            groups = groups + self._sample(generator) if self._replayed_groups else groups
            groups = [groups[place] for place in generator.permutation(len(groups))]
        own = _between(groups, self.rows * self.shard // self.shards, self.rows * (self.shard + 1) // self.shards)
        columns = {name: self.parts.get(name, ()) for name in self.columns}
        pieces: Iterable[Rows] = self._parquet.read(columns, own) if own else ()
        if not self.shuffle_rows:
            return _in_order(pieces, self.batch_size)
        generator = np.random.default_rng([*seed, self.shard])
        return _shuffled(pieces, self.batch_size, ShufflingBuffer(self.shuffle_rows, generator))


def _between(groups: Sequence[Stretch], first: int, last: int) -> list[Stretch]:
    """The stretches that hold rows ``first`` to ``last - 1`` of the concatenated row groups."""
    found, at = [], 0
    for group in groups:
        start, stop = max(first - at, 0), min(last - at, group.rows)
        if start < stop:
            found.append(replace(group, start=group.start + start, stop=group.start + stop))
        at += group.rows
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
