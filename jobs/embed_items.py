"""Embeds new and changed items with the language model; items with the same content are embedded once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.transforms.contents import distinct_contents
from lake.artifacts import Artifact
from lake.command import main
from lake.declaration import Job
from lake.run import Run
from lake.scratch import scratch_folder
from models.llm.encoder import EncoderParameters, hidden_state
from models.llm.language_model import convert, hidden_layers, model_recipe, takes_images
from models.llm.projection import PROJECTION, Moments, Projection
from models.llm.prompts import PROMPT_VERSION
from schemas.errors import UserError, user_mistakes
from schemas.parameters import take
from schemas.tables import ITEM_EMBEDDINGS, ITEMS
from udfs.embed import (
    EMBEDDING_SCHEMA,
    IMAGE_RAW_SCHEMA,
    MOMENTS_SCHEMA,
    RAW_SCHEMA,
    encode,
    encode_with_images,
    project,
    sum_moments,
)

PLAIN_PROJECTION = "plain_projection.safetensors"
"""File of the projection for embeddings of the unaligned model."""
CONTENTS_PER_TASK = 1000


def contents_to_embed(
    items: DataFrame, embedded: DataFrame | None, encoder_version: str | None, with_image: bool = False
) -> DataFrame:
    """Contents that the encoder has not embedded yet.

    Args:
        items: table ``items``.
        embedded: the current ``item_embeddings``; None if there is none.
        encoder_version: version of the encoder; None if it is not fitted yet.
        with_image: whether the encoder reads images.
    """
    contents = distinct_contents(items, with_image)
    if embedded is None or encoder_version is None:
        return contents
    known = embedded.where(F.col("encoder_version") == encoder_version).select("content_hash").distinct()
    return contents.join(known, "content_hash", "left_anti")


def embeddings_of_items(items: DataFrame, fresh: DataFrame, current: DataFrame | None, version: str) -> DataFrame:
    """Rows of ``item_embeddings`` for items that are new or whose content changed.

    Args:
        items: table ``items``.
        fresh: embeddings of this run, by content_hash.
        current: the current ``item_embeddings``; None if there is none.
        version: version of the encoder.
    """
    fields = ["content_hash", "embedding", "search_embedding", "text_embedding"]
    by_content = fresh
    todo = items.select("item_id", "content_hash")
    if current is not None:
        mine = current.where(F.col("encoder_version") == version)
        todo = todo.join(mine.select("item_id", "content_hash"), ["item_id", "content_hash"], "left_anti")
        known = mine.select(*fields).join(todo.select("content_hash").distinct(), "content_hash", "left_semi")
        by_content = fresh.unionByName(known.dropDuplicates(["content_hash"]))
    return todo.join(by_content, "content_hash", "inner").select(
        "item_id", *fields[1:], "content_hash", F.lit(version).alias("encoder_version")
    )


def fit_projection(raw: DataFrame, search_dim: int, centred: bool) -> Projection:
    """Fits mean and principal components of raw vectors, from sums that the executors make.

    Driver memory: ``dimension ** 2`` doubles per partition of ``raw``.

    Args:
        raw: content_hash, raw.
        search_dim: number of principal components.
        centred: whether the mean is subtracted from embeddings.

    Raises:
        UserError: there are no items, or fewer than the settings need.
    """
    moments: Moments | None = None
    for row in raw.mapInArrow(sum_moments, MOMENTS_SCHEMA).toLocalIterator():
        total = np.array(row["total"])
        part = Moments(row["count"], total, np.array(row["outer"]).reshape(len(total), -1))
        moments = part if moments is None else moments + part
    if moments is None:
        raise UserError("table items holds no items; run ingest first")
    with user_mistakes():
        return Projection.fit(moments, search_dim, centred)


def models_to_read(run: Run) -> tuple[Artifact, Artifact]:
    """The model that embeds, and the unaligned model; both are the same if ``align.steps`` is 0."""
    llm = run.settings.language_model
    with run.step("prepare the language model"), user_mistakes():
        plain = run.made_once(
            "language_model", model_recipe(llm.model, llm.dtype), partial(convert, llm.model, llm.dtype)
        )
        hidden_state(run.settings.embed.layer, hidden_layers(run.lake.artifacts.fetch(plain)))
    if run.settings.align.steps:
        return run.use("aligned_model", "align_encoder"), plain
    return plain, plain


def steps(run: Run) -> None:
    """Embeds new contents, fits the projection of a new encoder, and writes the embeddings.

    Each distinct content is also embedded by the unaligned model, if the model is aligned. Executor memory: one copy of
    the language model per worker. Driver memory: see :func:`fit_projection`.
    """
    settings, llm = run.settings.embed, run.settings.language_model
    model, plain = models_to_read(run)
    aligned = model.version != plain.version
    recipe = {
        "language_model": model.digest,
        "layer": "aligned" if aligned else settings.layer,
        "max_tokens": llm.max_tokens,
        "search_dim": settings.search_dim,
        "prompt": PROMPT_VERSION,
    }
    if aligned:
        recipe |= {"plain_model": plain.digest, "plain_layer": settings.layer}
    encoder = run.reuse("encoder", recipe)
    items = run.read(ITEMS.name)
    current = run.find_with_columns(ITEM_EMBEDDINGS)
    with_image = takes_images(run.lake.artifacts.fetch(model))
    contents = contents_to_embed(items, current, encoder.version if encoder else None, with_image)
    parameters = take(EncoderParameters, settings, max_tokens=llm.max_tokens, dtype=llm.dtype)
    raw, count = _raw_vectors(run, contents, model, parameters)
    of_files = {PROJECTION: raw}
    if aligned:
        of_files[PLAIN_PROJECTION] = _raw_vectors(run, contents, plain, parameters)[0]
    if encoder is None:
        with run.step("fit the projection"):
            projections = {
                file: fit_projection(vectors, settings.search_dim, centred=file == PLAIN_PROJECTION or not aligned)
                for file, vectors in of_files.items()
            }
            encoder = _publish(run, projections, recipe, count)
    folder = run.lake.artifacts.fetch(encoder)
    reduced = [
        vectors.mapInArrow(project(Projection.load(folder / file)), EMBEDDING_SCHEMA)
        for file, vectors in of_files.items()
    ]
    rows = embeddings_of_items(items, with_text_embedding(*reduced), current, encoder.version).persist()
    with run.step("write item_embeddings"):
        embedded = rows.count()
        if current is None:
            run.overwrite(ITEM_EMBEDDINGS, rows)
        else:
            run.merge(ITEM_EMBEDDINGS, rows, compare=["content_hash", "encoder_version"])
    run.measure("embed.contents", count)
    run.measure("embed.items", embedded)
    for frame in (rows, *of_files.values()):
        frame.unpersist()


def with_text_embedding(embeddings: DataFrame, plain: DataFrame | None = None) -> DataFrame:
    """Adds ``text_embedding``, the search embedding of the unaligned model.

    Args:
        embeddings: content_hash, embedding, search_embedding.
        plain: the same columns by the unaligned model; None if the model is not aligned.
    """
    if plain is None:
        return embeddings.withColumn("text_embedding", F.col("search_embedding"))
    text = plain.select("content_hash", F.col("search_embedding").alias("text_embedding"))
    return embeddings.join(text, "content_hash", "inner")


def _raw_vectors(
    run: Run, contents: DataFrame, model: Artifact, parameters: EncoderParameters
) -> tuple[DataFrame, int]:
    """Vectors ``raw`` by content_hash, persisted, and the number of contents."""
    contents = contents.persist()
    count = contents.count()
    cores = run.spark.sparkContext.defaultParallelism
    tasks = max(1, min(count, max(2 * cores, count // CONTENTS_PER_TASK)))
    spread = contents.repartition(tasks, "content_hash")
    shipped = run.lake.artifacts.ship(model)
    if "image" in contents.columns:
        raw = spread.mapInArrow(encode_with_images(shipped, parameters), IMAGE_RAW_SCHEMA).persist()
    else:
        raw = spread.mapInArrow(encode(shipped, parameters), RAW_SCHEMA).persist()
    with run.step(f"embed {count} distinct contents"):
        raw.count()
    if "image" in contents.columns:
        run.measure("embed.images", contents.where("image IS NOT NULL").count())
        run.measure("embed.images_broken", raw.where("image_broken").count())
    contents.unpersist()
    return raw, count


def _publish(run: Run, projections: Mapping[str, Projection], recipe: Mapping[str, Any], fitted_on: int) -> Artifact:
    with scratch_folder() as folder:
        for file, projection in projections.items():
            projection.save(folder / file)
        return run.publish("encoder", folder, recipe, fitted_on=fitted_on)


JOB = Job(
    name="embed_items",
    steps=steps,
    sections=("embed", "language_model", "align"),
    reads=("items",),
    writes=("item_embeddings",),
    uses=("aligned_model",),
    makes=("language_model", "encoder"),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
