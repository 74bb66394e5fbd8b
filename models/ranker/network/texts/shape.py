"""How a ranker reads item texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Encoder = Literal["mean", "transformer"]


@dataclass(frozen=True, kw_only=True)
class TextShape:
    """How a ranker reads item texts; see docs/sarm.md.

    Attributes:
        encoder: ``mean`` of the tokens, or a ``transformer`` whose first output is the text's vector.
        dim: width of tokens and of a text's vector.
        layers: layers of the transformer.
        heads: attention heads of the transformer, and of the user's side.
        gate: whether domain tokens are added to the base tokens that they cover, by a gate.
        reading: whether the item's embedding also reads the encoded tokens.
        user: whether the texts of the user's recent events are read by a layer of their own.
        events: whether the vector of an event holds the text of its item, so that the attention compares texts.
        matches: whether the head reads, for each history, in which share of the events a field has the target's value.
        auxiliary: weight of the cross entropy of what the texts alone predict; 0 for none.
        dropout: share of a text's tokens that a training step leaves out.
    """

    encoder: Encoder
    dim: int
    layers: int
    heads: int
    gate: bool
    reading: bool
    user: bool
    events: bool
    matches: bool
    auxiliary: float
    dropout: float

    def __post_init__(self) -> None:
        if self.dim % (2 * self.heads):
            raise ValueError(f"ranker.text.dim: {self.dim} is no multiple of twice ranker.text.heads, {2 * self.heads}")
