"""Batches of token sequences with similar lengths, so that little work is spent on padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle, groupby, islice
from typing import TypeVar

import torch

T = TypeVar("T")


def by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Divides sequences into batches of similar lengths.

    Args:
        lengths: number of tokens of every sequence.
        batch_tokens: largest number of tokens in a batch, padding included; a longer sequence is a batch of its own.

    Yields:
        Positions in ``lengths``, each position exactly once.
    """
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batch and lengths[position] * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def of_one_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Divides sequences into batches of equal lengths, which need no padding.

    The last bits of a sequence's states depend on how much padding its batch has, and so on the other sequences of the
    batch. Without padding they do not, where a product's row does not depend on the number of rows: in float32, on one
    thread (torch divides a batch by its size among several) and in MKL's strict mode (``MKL_CBWR=AUTO,STRICT``) on a
    processor that has it. In bfloat16 a row does depend on their number, see :func:`filled`.

    Args:
        lengths: number of tokens of every sequence.
        batch_tokens: largest number of tokens in a batch; a longer sequence is a batch of its own.

    Yields:
        Positions in ``lengths``, each position exactly once.
    """
    for length, positions in groupby(sorted(range(len(lengths)), key=lambda i: (lengths[i], i)), lengths.__getitem__):
        alike, most = list(positions), most_of_length(length, batch_tokens)
        yield from (alike[start : start + most] for start in range(0, len(alike), most))


def most_of_length(length: int, batch_tokens: int) -> int:
    """How many sequences of one length a batch of :func:`of_one_length` holds at most."""
    return max(1, batch_tokens // max(length, 1))


def filled(batch: Sequence[T], length: int, batch_tokens: int) -> list[T]:
    """A batch of sequences of one length, repeated until it is as large as such a batch can be.

    A processor's products in bfloat16 round by other blocks for another number of rows (AMX does, as measured). Among
    batches of one shape a sequence's states are the same to the bit, whatever else stands in them and wherever.

    Args:
        batch: a batch of :func:`of_one_length`, not empty.
        length: number of tokens of each sequence.
        batch_tokens: what the batches were divided by.

    Returns:
        The batch, followed by the repetitions.
    """
    return list(islice(cycle(batch), most_of_length(length, batch_tokens)))


def pad(sequences: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pads sequences on the right.

    Args:
        sequences: token ids of every sequence.
        padding: token id to pad with.

    Returns:
        Token ids and attention mask, both of shape (sequences, longest) and type int64.
    """
    width = max(len(sequence) for sequence in sequences)
    ids = torch.full((len(sequences), width), padding, dtype=torch.long)
    mask = torch.zeros((len(sequences), width), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
        mask[row, : len(sequence)] = 1
    return ids, mask
