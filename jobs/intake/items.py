"""The rows of a catalogue as items, and why a row is rejected."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType

from lake.inputs.attributes import attributes_of
from lake.inputs.complaints import missing_id, unusable_row
from lake.inputs.part import Field, Part
from lake.inputs.values import as_id, as_text
from schemas.tables import ITEMS

IDS = ("item_id",)
TIMES = ()
NEEDED = ("item_id", "title")

TEXTS = ("title", "category", "description")

READ = ("item_id", *TEXTS, "image")
"""Columns of a catalogue with a place of their own; all others are attributes."""


def shape_items(part: Part, now: datetime) -> DataFrame:
    """Gives the rows of a catalogue the columns of ``items``, and says which of them are rejected.

    Columns without a place of their own go into ``attributes``; so does an image that is no bytes, e.g. its address.

    Args:
        part: rows of the catalogue, with our names.
        now: time of the run.

    Returns:
        The columns of ``items``; ``row``, the input row as JSON; and ``complaint``, why the row is rejected, or null.
    """
    item, image = part.needed("item_id"), part.find("image")
    is_bytes = image is not None and isinstance(image.kind, BinaryType)
    own = READ if is_bytes else tuple(name for name in READ if name != "image")
    shaped = part.rows.select(
        as_id(item.column, item.kind).alias("item_id"),
        *(_text(part.find(name)).alias(name) for name in TEXTS),
        attributes_of(part, own).alias("attributes"),
        (image.column if image is not None and is_bytes else F.lit(None).cast("binary")).alias("image"),
        F.coalesce(part.malformed, part.row).alias("row"),
        unusable_row(part, IDS).alias("_row"),
    )
    no_text = F.coalesce(*TEXTS).isNull() & (F.size("attributes") == 0)
    complaint = F.coalesce("_row", missing_id(IDS), F.when(no_text, "no_text"))
    added = {"first_seen": F.lit(now), "updated_at": F.lit(now), "complaint": complaint}
    return shaped.withColumns(added).drop("_row")


def _text(field: Field | None) -> Column:
    return F.lit(None).cast("string") if field is None else as_text(field.column, field.kind)


def with_content_hash(items: DataFrame) -> DataFrame:
    """Adds the hash of all that describes an item; items with equal hashes are embedded once."""
    entries = F.to_json(F.array_sort(F.map_entries("attributes")))
    content = F.to_json(F.struct(*TEXTS, entries, F.sha2("image", 256)))
    return items.withColumn("content_hash", F.sha2(content, 256))


def fold_items(items: DataFrame) -> DataFrame:
    """One row per item; of several contents, that with the largest hash, so that every run chooses the same."""
    whole = F.max_by(F.struct(*ITEMS.names), "content_hash")
    return items.groupBy("item_id").agg(whole.alias("item")).select("item.*")
