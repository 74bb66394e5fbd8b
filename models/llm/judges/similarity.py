"""A judge that compares the embeddings of both items' texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.llm.encoder import Encoder, EncoderParameters
from models.llm.judge import LocalJudge, Opinions, remembered
from models.llm.prompts import embedding_prompt


class SimilarityJudge(LocalJudge):
    """Cosine similarity of the embeddings of both items' texts.

    Args:
        folder: a converted model.
        parameters: layer, lengths and dtype.
    """

    name = "similarity"
    meaning = "the cosine of both texts' embeddings"
    reads = ("layer", "max_tokens", "dtype")

    def __init__(self, folder: Path, parameters: EncoderParameters) -> None:
        self._encoder = Encoder(folder, parameters)
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def opinions(self, triggers: Sequence[str], targets: Sequence[str]) -> Opinions:
        """Scores from -1 to 1; each distinct text is embedded once."""
        left, right = (remembered(side, self._vectors, self._embed) for side in (triggers, targets))
        return Opinions((left * right).sum(1).astype(np.float64), [None] * len(triggers))

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = self._encoder.encode([embedding_prompt(text) for text in texts])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
