"""Items and pairs by their content: what a language model sees."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from qarm.models.llm.endpoint import EndpointParameters
from qarm.schemas.settings import EndpointSettings

FIELDS = ("title", "category", "attributes", "description")


def distinct_contents(items: DataFrame, with_image: bool = False) -> DataFrame:
    """One row per content: content_hash and its fields, on request the image among them."""
    wanted = (*FIELDS, "image") if with_image else FIELDS
    fields = F.first(F.struct(*wanted)).alias("content")  # equal hashes have equal fields
    return items.groupBy("content_hash").agg(fields).select("content_hash", "content.*")


def with_content_hashes(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """Adds ``trigger_content`` and ``target_content``, the hashes of both items' contents."""
    for side in ("trigger", "target"):
        hashes = items.select(F.col("item_id").alias(f"{side}_item_id"), F.col("content_hash").alias(f"{side}_content"))
        pairs = pairs.join(hashes, f"{side}_item_id", "inner")
    return pairs


def accepted(pairs: DataFrame) -> DataFrame:
    """Pairs that no judge rejected."""
    return pairs.where(F.coalesce(F.col("verdict"), F.lit("keep")) != "reject")


def by_content(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """Pairs of different contents, each once.

    Args:
        pairs: ``item_pairs``.
        items: the catalogue.

    Returns:
        trigger, target: content hashes; place: of the target among the trigger's, by score, the better of the sources'.
    """
    hashed = with_content_hashes(pairs, items).where("trigger_content <> target_content")
    best = hashed.groupBy("source", "trigger_content", "target_content").agg(F.max("score").alias("score"))
    order = Window.partitionBy("source", "trigger_content").orderBy(F.col("score").desc(), "target_content")
    placed = best.withColumn("place", F.row_number().over(order))
    return placed.groupBy(F.col("trigger_content").alias("trigger"), F.col("target_content").alias("target")).agg(
        F.min("place").alias("place")
    )


def endpoint_parameters(settings: EndpointSettings, tasks: int) -> EndpointParameters:
    """One task's part of the limits that the settings give for all."""
    return EndpointParameters(
        url=settings.url,
        model=settings.model,
        key_variable=settings.key_variable,
        concurrency=max(settings.concurrency // tasks, 1),
        requests_per_minute=settings.requests_per_minute and max(settings.requests_per_minute // tasks, 1),
        timeout_seconds=settings.timeout_seconds,
        retries=settings.retries,
        max_tokens=settings.max_tokens,
    )
