"""The three-segment sequence of QARM V2: ``item content | <EMB> x 3 | question-answer``, and who sees what in it.

The ``<EMB>`` tokens see the content and earlier ``<EMB>`` tokens; the question-answer tokens see the ``<EMB>`` tokens
and earlier question-answer tokens. What an answer needs of the content must pass through the embedding. At the start of
training the question-answer tokens may see the content, too; that view is closed step by step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

EMB_TOKENS = 3

PADDING, CONTENT, EMB, QUESTION, ANSWER = range(5)


@dataclass(frozen=True)
class Segments:
    """A batch of sequences, each segment padded on its own.

    Attributes:
        ids: token ids; where ``kinds`` is EMB they say nothing, shape (batch, width).
        kinds: PADDING, CONTENT, EMB, QUESTION or ANSWER, shape (batch, width).
    """

    ids: torch.Tensor
    kinds: torch.Tensor

    @property
    def positions(self) -> torch.Tensor:
        """Places of the tokens in their sequence, padding not counted, shape (batch, width)."""
        return ((self.kinds != PADDING).cumsum(1) - 1).clamp_min(0)

    def to(self, device: torch.device) -> Segments:
        """The same batch on a device."""
        return Segments(self.ids.to(device), self.kinds.to(device))


def segments(
    contents: Sequence[Sequence[int]],
    questions: Sequence[Sequence[int]] | None = None,
    answers: Sequence[Sequence[int]] | None = None,
) -> Segments:
    """Lays sequences out.

    Args:
        contents: token ids of every content.
        questions: of every question; None for embedding alone.
        answers: of every answer; an empty question and answer leave the third segment out of a row.
    """
    parts = [_padded(contents, CONTENT)]
    emb = torch.full((len(contents), EMB_TOKENS), EMB, dtype=torch.long)
    parts.append((torch.zeros_like(emb), emb))
    if questions is not None and answers is not None:
        ids, kinds = _padded([[*q, *a] for q, a in zip(questions, answers, strict=True)], QUESTION)
        start = torch.tensor([len(q) for q in questions])[:, None]
        behind = (torch.arange(ids.shape[1]) >= start) & (kinds == QUESTION)
        parts.append((ids, kinds.masked_fill(behind, ANSWER)))
    return Segments(torch.cat([ids for ids, _ in parts], 1), torch.cat([kinds for _, kinds in parts], 1))


def _padded(sequences: Sequence[Sequence[int]], kind: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max((len(sequence) for sequence in sequences), default=0)
    ids = torch.zeros((len(sequences), width), dtype=torch.long)
    kinds = torch.full((len(sequences), width), PADDING, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
        kinds[row, : len(sequence)] = kind
    return ids, kinds


def attention_bias(kinds: torch.Tensor, view: float, dtype: torch.dtype) -> torch.Tensor:
    """What is added to the attention logits.

    Args:
        kinds: of every token, shape (batch, width).
        view: how much of the content the question-answer tokens see: 1 all of it, 0 nothing; between, its attention
            weights count so much before they are normalised.
        dtype: of the model.

    Returns:
        Shape (batch, 1, width, width): 0 where the query in a row sees the key in a column, ``log(view)`` from
        questions and answers to the content, the dtype's lowest number where it sees nothing.
    """
    width = kinds.shape[1]
    lowest = torch.finfo(dtype).min
    causal = torch.ones((width, width), dtype=torch.bool, device=kinds.device).tril()
    seen = causal & (kinds != PADDING)[:, None, :]
    seen |= torch.eye(width, dtype=torch.bool, device=kinds.device)  # padding sees itself: no row is empty
    through = (kinds >= QUESTION)[:, :, None] & (kinds == CONTENT)[:, None, :]
    bias = torch.zeros(seen.shape, dtype=dtype, device=kinds.device)
    bias.masked_fill_(through, math.log(view) if view > 0 else lowest)
    bias.masked_fill_(~seen, lowest)
    return bias[:, None]


def view_at(step: int, open_until: int, closed_from: int) -> float:
    """How much of the content the answers see: all until one step, nothing from another, falling evenly between.

    Args:
        step: counted from 0.
        open_until: the last step of the full view.
        closed_from: the first step without any.
    """
    if step >= closed_from:
        return 0.0
    return min(1.0, (closed_from - step) / max(closed_from - open_until, 1))
