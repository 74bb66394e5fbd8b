"""The encoder and the codebook of a night as functions of SQL: vectorised, and loaded once per Python worker.

They compute by the functions that the jobs' own stages compute by, :func:`udfs.embed.raw_vectors`,
:class:`models.llm.projection.Projection` and :class:`models.quantize.codebook.Codebook`, none of which lets a row
depend on the others on one thread, in float32 in MKL's strict mode. So their results equal the tables' to the bit where
a task has one core and the processor has that mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql.pandas.functions import pandas_udf

from models.llm.encoder import EncoderParameters
from models.llm.projection import Projection
from models.llm.prompts import item_text
from models.quantize.codebook import Codebook
from udfs.codes import load_codebook
from udfs.embed import raw_vectors, raw_vectors_with_images, texts_of_fields
from udfs.workers import shipped, use_task_cores


@dataclass(frozen=True)
class TextModel:
    """What turns texts into embeddings and codes, on the executors.

    Attributes:
        model: the shipped language model.
        takes_images: whether the language model reads images too; texts are then embedded without one.
        parameters: parameters of the encoder.
        projection: the encoder's projection, a few hundred kilobytes, which is sent with the tasks.
        codebook: the shipped codebook; empty for none.
    """

    model: str
    takes_images: bool
    parameters: EncoderParameters
    projection: Projection
    codebook: str

    def embeddings(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of texts, shape (texts, d)."""
        folded = [item_text(text, None, None, None) for text in texts]
        if self.takes_images:
            raw, _ = raw_vectors_with_images(self.model, self.parameters, folded, [None] * len(folded))
        else:
            raw = raw_vectors(self.model, self.parameters, folded)
        return self.projection.embedding(raw)

    @property
    def book(self) -> Codebook:
        """The codebook, loaded once per Python worker."""
        return load_codebook(shipped(self.codebook))

    def sids(self, embeddings: NDArray[np.float32]) -> list[str]:
        """Semantic IDs of embeddings of shape (n, d)."""
        return ["-".join(map(str, codes)) for codes in self.book.assign(embeddings).tolist()]

    def sids_of_texts(self, texts: Sequence[str]) -> list[str]:
        """Semantic IDs of texts."""
        return self.sids(self.embeddings(texts))


class _Remembered:
    """A function of many texts, called once for each different text of a batch that the batch before did not have.

    A query that compares a column with one text, ``sid_prefix = semantic_id_prefix('red apples', 2)``, gives that text
    in every row; it is embedded once a task.
    """

    def __init__(self, function: Callable[[Sequence[str]], Iterable[Any]]) -> None:
        self._function = function
        self._known: dict[str, Any] = {}

    def __call__(self, texts: pd.Series[Any]) -> list[Any]:
        wanted = [text for text in texts.unique() if isinstance(text, str)]
        new = [text for text in wanted if text not in self._known]
        found = dict(zip(new, self._function(new), strict=True)) if new else {}
        self._known = {text: found[text] if text in found else self._known[text] for text in wanted}
        return [self._known.get(text) for text in texts]


def embed_text(of: TextModel) -> Any:
    """``embed_text(text)``: the embedding of an item's text, ARRAY<FLOAT> of L2 norm 1; null for null."""
    return _of_texts("array<float>", of.embeddings)


def semantic_id_of_text(of: TextModel) -> Any:
    """``semantic_id_of_text(text)``: the same as ``semantic_id(embed_text(text))``."""
    return _of_texts("string", of.sids_of_texts)


def _of_texts(returns: str, function: Callable[[Sequence[str]], Iterable[Any]]) -> Any:
    """A function of SQL that gives each text what a function of many texts gives it."""

    @pandas_udf(returns)  # type: ignore[call-overload, untyped-decorator]
    def run(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        use_task_cores()
        remembered = _Remembered(function)
        for texts in batches:
            yield pd.Series(remembered(texts), dtype=object)

    return run


def semantic_id(of: TextModel) -> Any:
    """``semantic_id(embedding)``: the codes of an embedding joined by -, by the codebook alone; null for null."""

    @pandas_udf("string")  # type: ignore[call-overload, untyped-decorator]
    def run(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        use_task_cores()
        for embeddings in batches:
            there = [vector for vector in embeddings if vector is not None]
            sids = iter(of.sids(np.stack(there).astype(np.float32)) if there else [])
            yield pd.Series([None if vector is None else next(sids) for vector in embeddings], dtype=object)

    return run


def semantic_id_prefix(of: TextModel) -> Any:
    """``semantic_id_prefix(text, levels)``: the first codes of ``semantic_id_of_text(text)``."""

    @pandas_udf("string")  # type: ignore[call-overload, untyped-decorator]
    def run(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        use_task_cores()
        sids = _Remembered(of.sids_of_texts)
        for texts, levels in batches:
            pairs = zip(sids(texts), levels, strict=True)
            yield pd.Series([_first_codes(sid, count) for sid, count in pairs], dtype=object)

    return run


def _first_codes(sid: str | None, levels: Any) -> str | None:
    if sid is None or pd.isna(levels):
        return None
    return "-".join(sid.split("-")[: max(int(levels), 0)])


def sid_distance(of: TextModel) -> Any:
    """``sid_distance(a, b)``: L2 distance of the embeddings that two semantic IDs stand for.

    Codes beyond the codebook's levels, which only tell equal codes apart, are left out. Null where one of them is null
    or no semantic ID of the codebook.
    """

    @pandas_udf("double")  # type: ignore[call-overload, untyped-decorator]
    def run(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        use_task_cores()
        for first, second in batches:
            yield pd.Series(distances_of(of.book, first.to_list(), second.to_list()), dtype=object)

    return run


def distances_of(book: Codebook, first: Sequence[Any], second: Sequence[Any]) -> list[float | None]:
    """Distances of what pairs of semantic IDs stand for; None where one of them is no semantic ID of the codebook."""
    codes = [(codes_of(a, book.sizes), codes_of(b, book.sizes)) for a, b in zip(first, second, strict=True)]
    known = [(place, a, b) for place, (a, b) in enumerate(codes) if a is not None and b is not None]
    distances: list[float | None] = [None] * len(codes)
    if known:
        places, left, right = zip(*known, strict=True)
        ends = [book.reconstruct(np.array(side, np.int32)).astype(np.float64) for side in (left, right)]
        for place, distance in zip(places, np.linalg.norm(ends[0] - ends[1], axis=1).tolist(), strict=True):
            distances[place] = distance
    return distances


def codes_of(sid: Any, sizes: Sequence[int]) -> list[int] | None:
    """The codes of a semantic ID, one a level; None if it is no semantic ID of a codebook with these sizes."""
    parts = sid.split("-") if isinstance(sid, str) else []
    if len(parts) < len(sizes) or not all(part.isdecimal() for part in parts):
        return None
    codes = [int(part) for part in parts[: len(sizes)]]
    return codes if all(code < size for code, size in zip(codes, sizes, strict=True)) else None


def text_of_item(_: TextModel) -> Any:
    """``item_text(title, category, attributes, description)``: the text that embed_items embeds for such an item."""

    @pandas_udf("string")  # type: ignore[call-overload, untyped-decorator]
    def run(title: pd.Series, category: pd.Series, attributes: pd.Series, description: pd.Series) -> pd.Series:
        return pd.Series(texts_of_fields(title, category, attributes, description), dtype=object)

    return run


TEXT_FUNCTIONS: dict[str, Callable[[TextModel], Any]] = {"embed_text": embed_text, "item_text": text_of_item}
CODE_FUNCTIONS: dict[str, Callable[[TextModel], Any]] = {
    "semantic_id": semantic_id,
    "semantic_id_of_text": semantic_id_of_text,
    "semantic_id_prefix": semantic_id_prefix,
    "sid_distance": sid_distance,
}
"""The functions by their names in SQL, :data:`schemas.functions.MODEL_FUNCTIONS`; those of codes need a codebook."""
