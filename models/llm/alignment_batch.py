"""Turns rows of the alignment feed into a batch: distinct contents, their accepted pairs, and a question for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.llm.contrastive import BatchPairs

JOINT = ("content", "known", "log_frequency")
"""Columns that every process needs from all rows; token columns stay with the process that encodes them."""

COLUMNS = (*JOINT, "tokens", "question", "answer")
"""Columns of the alignment feed.

``content``: hash of the content. ``known``: hashes of the content's accepted partners, padded with 0.
``log_frequency``: logarithm of how often the content is drawn. ``tokens``, ``question``, ``answer``: token ids plus 1,
padded with 0.
"""


@dataclass(frozen=True)
class AlignmentBatch:
    """A batch that all processes share, and the contents that this process encodes.

    Attributes:
        pairs: accepted pairs among the batch's distinct contents.
        own: positions of the contents that this process encodes, shape (own,).
        contents: token ids of each of these contents.
        questions: token ids of each content's question; may be empty.
        answers: token ids of each question's answer; may be empty.
    """

    pairs: BatchPairs
    own: torch.Tensor
    contents: Sequence[list[int]]
    questions: Sequence[list[int]]
    answers: Sequence[list[int]]

    @property
    def size(self) -> int:
        """Number of distinct contents in the batch, over all processes."""
        return len(self.pairs.log_frequency)

    def length(self, place: int, asked: bool) -> int:
        """Number of tokens of one of this process's contents, with its question and answer if ``asked``."""
        third = len(self.questions[place]) + len(self.answers[place]) if asked and self.answers[place] else 0
        return len(self.contents[place]) + third

    @property
    def answer_tokens(self) -> int:
        """Number of answer tokens of this process's contents."""
        return sum(len(answer) for answer in self.answers)


def collate(joint: dict[str, torch.Tensor], rows: dict[str, torch.Tensor], rank: int = 0) -> AlignmentBatch:
    """Makes a batch; a content in several rows is encoded once, by the first process that has it.

    Args:
        joint: :data:`JOINT` columns of the rows of all processes, by rank, the same number of rows from each.
        rows: all :data:`COLUMNS` of this process's rows.
        rank: rank of this process.
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
    """Whether two contents are an accepted pair in either direction, symmetric, shape (contents, contents).

    Args:
        distinct: content hashes in ascending order, shape (contents,).
        partners: hashes of each content's partners, padded with 0, shape (contents, most).
    """
    found = torch.searchsorted(distinct, partners).clamp_max(len(distinct) - 1)
    anchor, slot = (distinct[found] == partners).nonzero(as_tuple=True)
    known = torch.zeros((len(distinct), len(distinct)), dtype=torch.bool)
    known[anchor, found[anchor, slot]] = True
    return (known | known.T).fill_diagonal_(False)


def _unpadded(tokens: torch.Tensor) -> list[list[int]]:
    return [[token - 1 for token in row if token] for row in tokens.tolist()]
