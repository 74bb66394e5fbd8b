"""The three-segment sequence of QARM V2, ``item content | <EMB> x 3 | question-answer``, and its attention mask.

The ``<EMB>`` tokens attend to the content and to earlier ``<EMB>`` tokens. The question-answer tokens attend to the
``<EMB>`` tokens and to earlier question-answer tokens, so an answer can use the content only through the embedding.
Early in training the question-answer tokens also attend to the content; this attention is reduced to 0 step by step.
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
    """A batch of sequences; each of the three segments is padded separately.

    Attributes:
        ids: token ids, unused where ``kinds`` is EMB, shape (batch, width).
        kinds: PADDING, CONTENT, EMB, QUESTION or ANSWER, shape (batch, width).
    """

    ids: torch.Tensor
    kinds: torch.Tensor

    @property
    def positions(self) -> torch.Tensor:
        """Positions of the tokens in their sequence, not counting padding, shape (batch, width)."""
        return ((self.kinds != PADDING).cumsum(1) - 1).clamp_min(0)

    def to(self, device: torch.device) -> Segments:
        """The batch moved to a device."""
        return Segments(self.ids.to(device), self.kinds.to(device))


def segments(
    contents: Sequence[Sequence[int]],
    questions: Sequence[Sequence[int]] | None = None,
    answers: Sequence[Sequence[int]] | None = None,
) -> Segments:
    """Builds a batch of three-segment sequences.

    Args:
        contents: token ids of every content.
        questions: token ids of every question; None to leave out the third segment.
        answers: token ids of every answer; a row with an empty question and answer has no third segment.
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
    """The bias that is added to the attention logits.

    Args:
        kinds: kind of every token, shape (batch, width).
        view: factor of the question-answer tokens' attention weights on the content, before normalisation: 1 for full
            attention, 0 for none.
        dtype: dtype of the model.

    Returns:
        Shape (batch, 1, width, width), by query and key: ``log(view)`` from question-answer tokens to the content, 0
        for other allowed attention, the dtype's lowest number for masked attention.
    """
    width = kinds.shape[1]
    lowest = torch.finfo(dtype).min
    causal = torch.ones((width, width), dtype=torch.bool, device=kinds.device).tril()
    seen = causal & (kinds != PADDING)[:, None, :]
    seen |= torch.eye(
        width, dtype=torch.bool, device=kinds.device
    )  # padding attends to itself, so that no row is fully masked
    through = (kinds >= QUESTION)[:, :, None] & (kinds == CONTENT)[:, None, :]
    bias = torch.zeros(seen.shape, dtype=dtype, device=kinds.device)
    bias.masked_fill_(through, math.log(view) if view > 0 else lowest)
    bias.masked_fill_(~seen, lowest)
    return bias[:, None]


def view_at(step: int, open_until: int, closed_from: int) -> float:
    """The ``view`` of :func:`attention_bias` at a step: first 1, then falling linearly, at the end 0.

    Args:
        step: training step, counted from 0.
        open_until: last step at which it is 1.
        closed_from: first step at which it is 0.
    """
    if step >= closed_from:
        return 0.0
    return min(1.0, (closed_from - step) / max(closed_from - open_until, 1))
