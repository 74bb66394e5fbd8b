"""Rows of the alignment feed to one batch: distinct contents, which belong together, and a question to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.llm.contrastive import BatchPairs

JOINT = ("content", "known", "log_frequency")
"""Columns that every process needs of all rows; tokens stay with the process that encodes them."""

COLUMNS = (*JOINT, "tokens", "question", "answer")
"""content: hash of the content. known: hashes of its accepted partners, padded by 0. log_frequency: logarithm of how
often it is drawn. tokens, question, answer: token ids plus 1, padded by 0."""


@dataclass(frozen=True)
class AlignmentBatch:
    """A batch of all processes, and this process's part of its contents.

    Attributes:
        pairs: of all distinct contents.
        own: places of the contents that this process encodes, shape (own,).
        contents: their token ids.
        questions: a question to each; may be empty.
        answers: its answer; may be empty.
    """

    pairs: BatchPairs
    own: torch.Tensor
    contents: Sequence[list[int]]
    questions: Sequence[list[int]]
    answers: Sequence[list[int]]

    @property
    def size(self) -> int:
        """Distinct contents."""
        return len(self.pairs.log_frequency)

    def length(self, place: int, asked: bool) -> int:
        """Tokens of one of this process's contents, its question and answer among them where they are asked."""
        third = len(self.questions[place]) + len(self.answers[place]) if asked and self.answers[place] else 0
        return len(self.contents[place]) + third

    @property
    def answer_tokens(self) -> int:
        """Answer tokens of this process's contents."""
        return sum(len(answer) for answer in self.answers)


def collate(joint: dict[str, torch.Tensor], rows: dict[str, torch.Tensor], rank: int = 0) -> AlignmentBatch:
    """Makes a batch; a content that comes in several rows is encoded once, by the first process that has it.

    Args:
        joint: ``JOINT`` columns of all processes' rows, in the order of the processes, as many rows of each.
        rows: all ``COLUMNS`` of this process's rows.
        rank: of this process.
    """
    share = len(rows["content"])
    distinct, place = torch.unique(joint["content"], return_inverse=True)
    every = torch.arange(len(place))
    first = torch.full((len(distinct),), len(place)).scatter_reduce(0, place, every, "amin")
    own = (first // share == rank).nonzero()[:, 0]
    at = first[own] - rank * share
    return AlignmentBatch(
        BatchPairs(_known(distinct, joint["known"][first]), joint["log_frequency"][first].float()),
        own,
        *(_unpadded(rows[name][at]) for name in ("tokens", "question", "answer")),
    )


def _known(distinct: torch.Tensor, partners: torch.Tensor) -> torch.Tensor:
    """Which contents are partners, either way round.

    Args:
        distinct: hashes in order, shape (contents,).
        partners: hashes of each one's partners, shape (contents, most).
    """
    found = torch.searchsorted(distinct, partners).clamp_max(len(distinct) - 1)
    anchor, slot = (distinct[found] == partners).nonzero(as_tuple=True)
    known = torch.zeros((len(distinct), len(distinct)), dtype=torch.bool)
    known[anchor, found[anchor, slot]] = True
    return (known | known.T).fill_diagonal_(False)


def _unpadded(tokens: torch.Tensor) -> list[list[int]]:
    return [[token - 1 for token in row if token] for row in tokens.tolist()]
