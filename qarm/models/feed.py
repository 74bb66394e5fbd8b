"""Batches of tensors from the Parquet files of one table snapshot, by Petastorm."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from petastorm import make_batch_reader
    from petastorm.pytorch import BatchedDataLoader

# Petastorm works with what pyarrow 14 deprecates; its users can do nothing about it.
warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")


@dataclass(frozen=True)
class Feed:
    """Reads numeric columns of a fixed list of files.

    The list is one version's: a Delta folder also holds files of other versions.

    Attributes:
        files: URLs of Parquet files.
        columns: numeric columns and fixed-length lists of such, without nulls.
        batch_size: rows a batch; the last one may be smaller.
        shuffle_rows: rows in the shuffling buffer; 0 keeps the files' order.
        seed: of the order.
    """

    files: Sequence[str]
    columns: Sequence[str]
    batch_size: int
    shuffle_rows: int
    seed: int

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("a feed needs at least one file")

    def epoch(self, number: int) -> Iterator[dict[str, torch.Tensor]]:
        """Every row once, in an order that depends on the seed and the epoch's number alone.

        Args:
            number: of the epoch.
        """
        seed = self.seed * 1_000_003 + number
        if self.shuffle_rows:
            torch.manual_seed(seed)  # the loader's shuffling buffer draws from torch's global generator
        # One worker: with more, the order of row groups depends on which is faster.
        reader = make_batch_reader(
                list(self.files), schema_fields=list(self.columns), num_epochs=1, workers_count=1,
                shuffle_row_groups=self.shuffle_rows > 0, seed=seed % 2**32, reader_pool_type="thread",
            )  # fmt: skip
        with reader:
            yield from BatchedDataLoader(reader, self.batch_size, shuffling_queue_capacity=self.shuffle_rows)
