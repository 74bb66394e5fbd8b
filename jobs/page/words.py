"""What each first code holds, in words: its most telling title words, and its commonest categories."""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

WORDS, CATEGORIES, CODES = 6, 3, 300
"""Words and categories of a code; and most codes that the page tells of, those with the most contents."""

LEAST_SHARE = 0.01
"""A category with a smaller share of a code is not told."""

PRIOR = 500.0
"""Words that the prior counts for, see :func:`telling_words`."""


def word_counts(contents: DataFrame) -> DataFrame:
    """How many contents of each first code have a word in their title: sid_1, word, here.

    Args:
        contents: one row per content: sid_1, title.
    """
    split = F.split(F.lower(F.coalesce("title", F.lit(""))), r"[^\p{L}\p{N}]+")
    word = F.explode(F.array_distinct(split)).alias("word")
    counted = contents.select("sid_1", word).where(r"length(word) > 1 AND NOT word RLIKE '^\\d+$'")
    return counted.groupBy("sid_1", "word").agg(F.count("*").alias("here"))


def telling_words(here: DataFrame) -> DataFrame:
    """The words of the titles in each first code that tell it from the others, the most telling first.

    A word is ranked by how much likelier it is in the code than in the others: by its log-odds ratio with an
    informative Dirichlet prior, in standard deviations (Monroe, Colaresi and Quinn, 2008). A content counts a word
    once.

    Args:
        here: result of :func:`word_counts`; it is read twice.

    Returns:
        sid_1, words: at most :data:`WORDS` words of each code.
    """
    of_code, of_word = Window.partitionBy("sid_1"), Window.partitionBy("word")
    totals = here.agg(F.sum("here").alias("all"))
    each = here.crossJoin(F.broadcast(totals)).withColumns(
        {"in_code": F.sum("here").over(of_code), "everywhere": F.sum("here").over(of_word)}
    )
    prior = F.lit(PRIOR) * F.col("everywhere") / F.col("all")
    elsewhere, others = F.col("everywhere") - F.col("here"), F.col("all") - F.col("in_code")
    inside, outside = F.col("here") + prior, elsewhere + prior

    def odds(of: Column, total: Column) -> Column:
        return F.log(of / F.greatest(total + PRIOR - of, F.lit(1e-9)))

    score = (odds(inside, F.col("in_code")) - odds(outside, others)) / F.sqrt(1 / inside + 1 / outside)
    ranked = each.withColumn("score", score).where("score > 0")
    place = F.row_number().over(of_code.orderBy(F.desc("score"), "word"))
    best = ranked.withColumn("place", place).where(F.col("place") <= WORDS)
    return best.groupBy("sid_1").agg(
        F.transform(F.array_sort(F.collect_list(F.struct("place", "word"))), lambda one: one["word"]).alias("words")
    )


def main_categories(contents: DataFrame) -> DataFrame:
    """The commonest categories of each first code: sid_1, categories, each with its share of the code's contents."""
    counts = contents.groupBy("sid_1", F.coalesce("category", F.lit("no category")).alias("category")).count()
    of_code = Window.partitionBy("sid_1")
    shares = counts.withColumn("share", F.col("count") / F.sum("count").over(of_code))
    place = F.row_number().over(of_code.orderBy(F.desc("count"), "category"))
    best = shares.withColumn("place", place).where(F.col("place") <= CATEGORIES)
    return best.groupBy("sid_1").agg(
        F.array_sort(F.collect_list(F.struct("place", "category", "share"))).alias("categories")
    )


def first_codes(contents: DataFrame) -> dict[int, dict[str, Any]]:
    """What the first codes with the most contents hold. Driver memory: :data:`CODES` rows.

    Args:
        contents: one row per content: sid_1, title, category, items.

    Returns:
        For each code ``code``, ``contents``, ``items``, ``words`` and ``categories`` (texts), by code.
    """
    counts = word_counts(contents).persist()
    sizes = contents.groupBy("sid_1").agg(F.count("*").alias("contents"), F.sum("items").alias("items"))
    largest = sizes.orderBy(F.desc("contents"), "sid_1").limit(CODES).persist()
    chosen = contents.join(F.broadcast(largest.select("sid_1")), "sid_1", "left_semi")
    rows = (
        largest.join(telling_words(counts), "sid_1", "left")
        .join(main_categories(chosen), "sid_1", "left")
        .orderBy(F.desc("contents"), "sid_1")
        .collect()
    )
    for frame in (largest, counts):
        frame.unpersist()
    return {
        row["sid_1"]: {
            "code": row["sid_1"],
            "contents": row["contents"],
            "items": row["items"],
            "words": ", ".join(row["words"] or ()),
            "categories": ", ".join(
                f"{one['category']} {one['share']:.0%}" for one in row["categories"] if one["share"] >= LEAST_SHARE
            ),
        }
        for row in rows
    }
