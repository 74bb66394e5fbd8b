"""Makes a night's encoder and codebook functions of SQL."""

from __future__ import annotations

from pyspark.sql import SparkSession

from lake.artifacts import Artifact
from lake.lake import Lake
from lake.published import Night, artifact_of
from models.llm.encoder import EncoderParameters
from models.llm.language_model import takes_images
from models.llm.projection import PROJECTION, Projection
from schemas.errors import UserError
from udfs.text_model import CODE_FUNCTIONS, TEXT_FUNCTIONS, TextModel


def register_functions(spark: SparkSession, lake: Lake, night: Night | None) -> list[str]:
    """Registers ``embed_text``, ``item_text`` and, with a codebook, the functions of semantic IDs in a session.

    They stay those of one night. Executor memory: one copy of the language model per worker that a query with one of
    them runs on.

    Args:
        spark: the session.
        lake: the warehouse.
        night: the night whose encoder and codebook are taken, e.g. ``lake.published.current()``; None for the newest.

    Returns:
        The functions' names.

    Raises:
        UserError: there is no encoder yet, or its language model is gone.
    """
    model = text_model(lake, night)
    functions = TEXT_FUNCTIONS | (CODE_FUNCTIONS if model.codebook else {})
    for name, make in functions.items():
        spark.udf.register(name, make(model))
    return list(functions)


def text_model(lake: Lake, night: Night | None) -> TextModel:
    """A night's encoder and codebook, shipped to the executors.

    Raises:
        UserError: see :func:`register_functions`.
    """
    artifacts = lake.artifacts
    encoder, codebook = (artifact_of(night, artifacts, kind) for kind in ("encoder", "codebook"))
    if encoder is None:
        raise UserError(f"no encoder under {artifacts.root}; run embed_items first, or nightly")
    recipe = encoder.card["recipe"]
    model = _with_digest(lake, recipe["language_model"], encoder)
    plain = model if model.kind == "language_model" else _with_digest(lake, recipe["plain_model"], encoder)
    aligned = model is not plain
    return TextModel(
        model=artifacts.ship(model),
        takes_images=takes_images(artifacts.fetch(model)),
        parameters=EncoderParameters(
            layer=recipe["plain_layer"] if aligned else recipe["layer"],
            max_tokens=recipe["max_tokens"],
            batch_tokens=lake.settings.embed.batch_tokens,
            dtype=plain.card["recipe"]["dtype"],
        ),
        projection=Projection.load(artifacts.fetch(encoder) / PROJECTION),
        codebook="" if codebook is None else artifacts.ship(codebook),
    )


def _with_digest(lake: Lake, digest: str, encoder: Artifact) -> Artifact:
    """The language model whose files have a digest."""
    for kind in ("aligned_model", "language_model"):
        for version in reversed(lake.artifacts.versions(kind)):
            model = lake.artifacts.get(kind, version)
            if model.digest == digest:
                return model
    raise UserError(
        f"the language model of {encoder.version} is gone from {lake.artifacts.root}; run embed_items again"
    )
