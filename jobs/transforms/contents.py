"""Contents, the texts and images that a language model reads, of items and of pairs."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from models.llm.endpoint import EndpointParameters, ask
from schemas.errors import UserError, user_mistakes
from schemas.language_model_sections import EndpointSettings
from schemas.parameters import take

FIELDS = ("title", "category", "attributes", "description")


def distinct_contents(items: DataFrame, with_image: bool = False) -> DataFrame:
    """One row per content: content_hash and the fields of the content, optionally with the image."""
    wanted = (*FIELDS, "image") if with_image else FIELDS
    fields = F.first(F.struct(*wanted)).alias("content")  # equal hashes have equal fields
    return items.groupBy("content_hash").agg(fields).select("content_hash", "content.*")


def with_content_hashes(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """Adds ``trigger_content`` and ``target_content``, the content hashes of both items."""
    for side in ("trigger", "target"):
        hashes = items.select(F.col("item_id").alias(f"{side}_item_id"), F.col("content_hash").alias(f"{side}_content"))
        pairs = pairs.join(hashes, f"{side}_item_id", "inner")
    return pairs


def accepted(pairs: DataFrame) -> DataFrame:
    """Pairs that were not rejected by a judge."""
    return pairs.where(F.coalesce(F.col("verdict"), F.lit("keep")) != "reject")


def by_content(pairs: DataFrame, items: DataFrame, min_support: int = 1) -> DataFrame:
    """Pairs of different contents, each once.

    Args:
        pairs: table ``item_pairs``.
        items: table ``items``.
        min_support: number of users or events that a pair of contents needs in one of the sources.

    Returns:
        trigger, target: content hashes; place: rank of the target among the targets of the trigger, by score, in the
        source where it is best.
    """
    hashed = with_content_hashes(pairs, items).where("trigger_content <> target_content")
    best = (
        hashed.groupBy("source", "trigger_content", "target_content")
        .agg(F.max("score").alias("score"), F.sum("support").alias("support"))
        .where(F.col("support") >= min_support)
    )
    order = Window.partitionBy("source", "trigger_content").orderBy(F.col("score").desc(), "target_content")
    placed = best.withColumn("place", F.row_number().over(order))
    return placed.groupBy(F.col("trigger_content").alias("trigger"), F.col("target_content").alias("target")).agg(
        F.min("place").alias("place")
    )


CHARACTERS_PER_TOKEN = 8
"""Estimate by which an item's text is cut before it is sent to a model with an unknown tokenizer."""


def endpoint_tasks(settings: EndpointSettings, cores: int) -> int:
    """Number of tasks that send requests at the same time; each needs a share of the limits."""
    return min(cores, settings.concurrency, settings.requests_per_minute or cores)


def endpoint_parameters(
    settings: EndpointSettings, tasks: int, max_tokens: int, item_tokens: int
) -> EndpointParameters:
    """Parameters of the requests of one task, with its share of the limits.

    Args:
        settings: the ``[endpoint]`` section.
        tasks: number of tasks that send requests at the same time.
        max_tokens: most tokens of a reply.
        item_tokens: most tokens of an item's text.
    """
    return take(
        EndpointParameters,
        settings,
        concurrency=settings.concurrency // tasks,
        requests_per_minute=settings.requests_per_minute // tasks,
        max_tokens=max_tokens,
        item_characters=CHARACTERS_PER_TOKEN * item_tokens,
    )


def check_endpoint(parameters: EndpointParameters) -> None:
    """Sends one request from the driver, so that a wrong key, model or URL is reported at once and in one line.

    Raises:
        UserError: the endpoint refuses the request or cannot be reached.
    """
    with user_mistakes():
        reply = ask(parameters, ["Answer with Yes."])[0]
    if reply.text is None:
        raise UserError(f"endpoint.url: {parameters.url} gave no answer to a test question; check [endpoint]")
