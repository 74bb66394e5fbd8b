"""The model's functions of SQL, without Spark: what they remember, read and refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.llm.encoder import EncoderParameters
from models.llm.projection import Projection
from models.quantize.codebook import Codebook
from models.quantize.kmeans import KMeansLevel
from schemas.functions import MODEL_FUNCTIONS
from udfs.text_model import CODE_FUNCTIONS, TEXT_FUNCTIONS, TextModel, _Remembered, codes_of, distances_of


def test_the_functions_are_those_that_the_shell_knows() -> None:
    assert (*TEXT_FUNCTIONS, *CODE_FUNCTIONS) == MODEL_FUNCTIONS


def test_each_different_text_is_computed_once_and_not_again_in_the_next_batch() -> None:
    asked: list[list[str]] = []

    def lengths(texts: list[str]) -> list[int]:
        asked.append(list(texts))
        return [len(text) for text in texts]

    remembered = _Remembered(lengths)
    assert remembered(pd.Series(["a", "bb", None, "a"])) == [1, 2, None, 1]
    assert remembered(pd.Series(["bb", "ccc", "bb"])) == [2, 3, 2]
    assert remembered(pd.Series(["bb"])) == [2]
    assert asked == [["a", "bb"], ["ccc"]]


@pytest.mark.parametrize(
    ("sid", "codes"),
    [("1-2", [1, 2]), ("1-2-7", [1, 2]), ("1", None), ("1-9", None), ("1--2", None), ("a-b", None), (None, None)],
)
def test_a_semantic_id_is_read_up_to_the_levels_of_the_codebook(sid: str | None, codes: list[int] | None) -> None:
    assert codes_of(sid, [3, 4]) == codes


def test_distances_are_those_of_the_reconstructions() -> None:
    generator = np.random.default_rng(0)
    levels = [KMeansLevel(generator.normal(size=(size, 5)).astype(np.float32)) for size in (3, 4)]
    book = Codebook(levels, 5, "res_kmeans")
    found = distances_of(book, ["0-1", "0-1", None, "2-3"], ["0-1", "2-3", "0-1", "7-0"])
    expected = np.linalg.norm(np.diff(book.reconstruct(np.array([[0, 1], [2, 3]], np.int32)), axis=0))
    assert found == [0.0, pytest.approx(float(expected)), None, None]


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """As in a task of Spark."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_text_has_the_same_bits_alone_and_among_others(smollm: Path, dtype: str) -> None:
    texts = ["red wine", "a bottle of white wine from the south", "dog food", "x", "garden hose, 20 m", "wine"] * 40
    dimension = 576
    plain = Projection(np.zeros(dimension, np.float32), np.eye(4, dimension, dtype=np.float32))
    parameters = EncoderParameters(layer=2, max_tokens=32, batch_tokens=2048, dtype=dtype)
    model = TextModel(str(smollm), False, parameters, plain, "")
    together = model.embeddings(texts)
    alone = np.concatenate([model.embeddings([text]) for text in texts[:6]])
    assert np.allclose(together[:6], alone, atol=1e-6 if dtype == "float32" else 0.02)
    assert np.array_equal(model.embeddings([" Red  WINE"]), alone[:1]), "folded as item texts are"
    if dtype == "bfloat16" or _a_row_does_not_depend_on_the_other_rows():
        assert np.array_equal(together[:6], alone)
        assert np.array_equal(together[:6], together[6:12])


def _a_row_does_not_depend_on_the_other_rows() -> bool:
    """Whether MKL has its strict mode, which float32 needs, on this processor."""
    rows, weights = (torch.randn(count, 384, generator=torch.Generator().manual_seed(count)) for count in (64, 384))
    return torch.equal((rows @ weights.T)[:3], rows[:3] @ weights.T)
