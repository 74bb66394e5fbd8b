"""Embeds contents, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.llm.encoder import EncoderParameters, TextEncoder, load_encoder
from models.llm.image_text import ImageTextEncoder
from models.llm.projection import Moments, Projection
from models.llm.prompts import embedding_prompt, item_text
from udfs.arrays import column_matrix, list_column
from udfs.batches import Batches
from udfs.workers import shipped, use_task_cores, use_task_gpu

RAW_SCHEMA = "content_hash STRING, raw ARRAY<FLOAT>"
IMAGE_RAW_SCHEMA = f"{RAW_SCHEMA}, image_broken BOOLEAN"
MOMENTS_SCHEMA = "count LONG, total ARRAY<DOUBLE>, outer ARRAY<DOUBLE>"
EMBEDDING_SCHEMA = "content_hash STRING, embedding ARRAY<FLOAT>, search_embedding ARRAY<FLOAT>"


@cache
def _encoder(folder: Path, parameters: EncoderParameters) -> TextEncoder:
    use_task_gpu()
    return load_encoder(folder, parameters)


def raw_vectors(model: str, parameters: EncoderParameters, texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of item texts, neither centred nor normalised; the model is loaded once per Python worker.

    Args:
        model: the shipped language model.
        parameters: parameters of the encoder.
        texts: texts of items, see :func:`models.llm.prompts.item_text`.

    Returns:
        Shape (texts, d). On one thread a row does not depend on the other rows, to the bit; in float32 it needs MKL's
        strict mode for that.
    """
    return _encoder(shipped(model), parameters).encode([embedding_prompt(text) for text in texts])


def texts_of(batch: pa.RecordBatch) -> list[str]:
    """The texts of a batch of contents, from columns title, category, attributes and description."""
    return texts_of_fields(
        *(batch.column(name).to_pylist() for name in ("title", "category", "attributes", "description"))
    )


def texts_of_fields(
    titles: Iterable[Any], categories: Iterable[Any], attributes: Iterable[Any], descriptions: Iterable[Any]
) -> list[str]:
    """The texts of items, see :func:`models.llm.prompts.item_text`; attributes as maps, as pairs, or None."""
    rows = zip(titles, categories, attributes, descriptions, strict=True)
    return [item_text(title, category, dict(more or ()), description) for title, category, more, description in rows]


def encode(model: str, parameters: EncoderParameters) -> Batches:
    """Makes the function for ``mapInArrow`` that embeds contents; the model is loaded once per Python worker.

    Args:
        model: the shipped language model.
        parameters: parameters of the encoder.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        for batch in batches:
            vectors = raw_vectors(model, parameters, texts_of(batch))
            yield pa.RecordBatch.from_arrays(
                [batch.column("content_hash"), list_column(vectors)], ["content_hash", "raw"]
            )

    return run


@cache
def _image_encoder(folder: Path, parameters: EncoderParameters) -> ImageTextEncoder:
    use_task_gpu()
    return ImageTextEncoder(folder, parameters)


def raw_vectors_with_images(
    model: str, parameters: EncoderParameters, texts: Sequence[str], images: Sequence[bytes | None]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """As :func:`raw_vectors`, with images; a row may depend on the other rows in its last bits.

    Args:
        model: the shipped vision-language model.
        parameters: parameters of the encoder.
        texts: texts of items.
        images: encoded images, or None for an item without.

    Returns:
        Vectors, shape (texts, d), and which images could not be read, shape (texts,).
    """
    prompts = [embedding_prompt(text) for text in texts]
    return _image_encoder(shipped(model), parameters).encode(prompts, images)


def encode_with_images(model: str, parameters: EncoderParameters) -> Batches:
    """Makes the function for ``mapInArrow`` that embeds contents with their images.

    If an image cannot be read, only the text is embedded and ``image_broken`` is true.

    Args:
        model: the shipped vision-language model.
        parameters: parameters of the encoder.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        for batch in batches:
            images = batch.column("image").to_pylist()
            vectors, broken = raw_vectors_with_images(model, parameters, texts_of(batch), images)
            yield pa.RecordBatch.from_arrays(
                [batch.column("content_hash"), list_column(vectors), pa.array(broken, pa.bool_())],
                ["content_hash", "raw", "image_broken"],
            )

    return run


def sum_moments(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Sums raw vectors and their outer products, and counts them: one row per partition."""
    total: Moments | None = None
    for batch in batches:
        if batch.num_rows:
            part = Moments.of(column_matrix(batch.column("raw")))
            total = part if total is None else total + part
    if total is not None:
        columns = [pa.array([total.count]), list_column(total.total[None]), list_column(total.outer.reshape(1, -1))]
        yield pa.RecordBatch.from_arrays(columns, ["count", "total", "outer"])


def project(projection: Projection) -> Batches:
    """Makes the function for ``mapInArrow`` that centres and reduces raw vectors, to :data:`EMBEDDING_SCHEMA`.

    Args:
        projection: the projection, a few hundred kilobytes, which is sent with the tasks.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            embedding, reduced = projection.apply(column_matrix(batch.column("raw")).astype(np.float32))
            columns = [batch.column("content_hash"), list_column(embedding), list_column(reduced)]
            yield pa.RecordBatch.from_arrays(columns, ["content_hash", "embedding", "search_embedding"])

    return run
