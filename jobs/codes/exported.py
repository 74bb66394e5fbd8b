"""The codes of items in the forms that other programs read."""

from __future__ import annotations

import string
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

LETTERS = string.ascii_lowercase
"""Names of the levels in tokens, from the first."""


def with_codes(semantic_ids: DataFrame) -> DataFrame:
    """``item_id``, ``sid`` and all codes of an item as one array ``codes``, with the version of the codebook."""
    first = F.filter(F.array("sid_1", "sid_2", "sid_3"), lambda code: code.isNotNull())
    codes = F.concat(first, F.coalesce("sid_more", F.array().cast("array<int>")))
    return semantic_ids.select("item_id", "sid", codes.alias("codes"), "codebook_version", "assigned_at")


def level_sizes(coded: DataFrame, sizes: Sequence[int]) -> list[int]:
    """The number of codes of each level: those of the codebook, then of the suffix that keeps equal codes apart.

    Driver memory: one row per level.

    Args:
        coded: the result of :func:`with_codes`.
        sizes: codes of each level of the codebook.
    """
    beyond = coded.select(F.posexplode("codes").alias("place", "code")).where(F.col("place") >= len(sizes))
    largest: dict[int, int] = dict(beyond.groupBy("place").agg(F.max("code")).collect())
    return [*sizes, *(largest[place] + 1 for place in sorted(largest))]


def token_names(sizes: Sequence[int]) -> list[str]:
    """The tokens of all codes, level by level: ``<a_0>``, ``<a_1>`` and so on, then ``<b_0>``.

    Args:
        sizes: codes of each level.
    """
    return [f"<{letter}_{code}>" for letter, size in zip(LETTERS, sizes, strict=False) for code in range(size)]


def as_tokens(coded: DataFrame, levels: int) -> DataFrame:
    """``item_id`` and its semantic ID as ``tokens``, e.g. ``<a_12><b_7><c_93>``.

    Args:
        coded: the result of :func:`with_codes`.
        levels: the greatest number of codes of an item.
    """

    def token(place: int) -> Column:
        text = F.concat(F.lit(f"<{LETTERS[place]}_"), F.col("codes")[place].cast("string"), F.lit(">"))
        return F.when(F.size("codes") > place, text)

    return coded.select("item_id", F.concat_ws("", *(token(place) for place in range(levels))).alias("tokens"))


def item_to_sid(coded: DataFrame, sizes: Sequence[int]) -> DataFrame:
    """TorchEasyRec's table ``item_to_sid``: an item's codes, and the same in one vocabulary of all levels.

    Args:
        coded: the result of :func:`with_codes`.
        sizes: codes of each level of the codebook; codes of a suffix are left out, as a bucket holds several items.

    Returns:
        ``item_id``, ``origin_codebook``, ``codebook``, ``offset_codebook`` and ``index``, the place in the bucket.
    """
    own = F.transform(F.slice("codes", 1, len(sizes)), lambda code: code.cast("long"))
    starts = F.array(*(F.lit(sum(sizes[:level])).cast("long") for level in range(len(sizes))))
    bucket = Window.partitionBy("codebook").orderBy("item_id")
    return (
        coded.select("item_id", own.alias("codebook"))
        .withColumn("offset_codebook", F.zip_with("codebook", starts, lambda code, start: code + start))
        .withColumn("index", (F.row_number().over(bucket) - 1).cast("long"))
        .select("item_id", F.col("codebook").alias("origin_codebook"), "codebook", "offset_codebook", "index")
    )


def sid_to_items(items: DataFrame, levels: int) -> DataFrame:
    """TorchEasyRec's table ``sid_to_items``: the items of every semantic ID, sorted by its codes.

    Args:
        items: the result of :func:`item_to_sid`.
        levels: levels of the codebook.

    Returns:
        ``codebook`` and ``itemids``, the items in the order of their places.
    """
    in_order = F.array_sort(F.collect_list(F.struct("index", "item_id")))
    grouped = items.groupBy("codebook").agg(F.transform(in_order, lambda one: one["item_id"]).alias("itemids"))
    return grouped.orderBy(*(F.col("codebook")[level] for level in range(levels)))
