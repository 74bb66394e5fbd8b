"""The report's numbers and figures about semantic IDs."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.page.figures import MOST_CODES, bucket_sizes, code_use
from lake.run import Run
from schemas.names import SID_COLUMNS

LARGEST_BUCKET_SHOWN = 30
NIGHTS_SHOWN = 10
MOVES_SHOWN = 1000


def code_figures(run: Run, codes: DataFrame) -> dict[str, Markup]:
    """Figures of the use of codes and of the number of contents per SID. Driver memory: 8,192 numbers per level."""
    codebook = run.use("codebook", "fit_codebook")
    contents = codes.where(F.col("codebook_version") == codebook.version).dropDuplicates(["content_hash"])
    contents = contents.select("sid", *SID_COLUMNS).persist()
    levels = {
        level: [
            r["count"] for r in contents.groupBy(level).count().orderBy(F.desc("count")).limit(MOST_CODES).collect()
        ]
        for level, _ in zip(SID_COLUMNS, codebook.card["sizes"], strict=False)
    }
    sizes = (
        contents.groupBy("sid")
        .count()
        .groupBy(F.least("count", F.lit(LARGEST_BUCKET_SHOWN)).alias("size"))
        .count()
        .collect()
    )
    contents.unpersist()
    return {
        "code_use": Markup(code_use(levels, codebook.card["sizes"])),
        "bucket_sizes": Markup(bucket_sizes([row["size"] for row in sizes], [row["count"] for row in sizes])),
    }


def bucket_examples(codes: DataFrame, items: DataFrame) -> list[Any]:
    """The ten prefixes sid_1-sid_2 with the most contents, each with two of its texts."""
    titled = codes.drop("content_hash").join(items, "item_id").withColumn("prefix", F.concat_ws("-", "sid_1", "sid_2"))
    return (
        titled.groupBy("prefix")
        .agg(
            F.countDistinct("content_hash").alias("contents"),
            F.count("*").alias("items"),
            F.min("text").alias("first"),
            F.max("text").alias("last"),
        )
        .orderBy(F.col("contents").desc(), "prefix")
        .limit(10)
        .collect()
    )


def changes_by_night(changes: DataFrame) -> list[Any]:
    """Number of semantic IDs that the last versions of the table assigned or changed, by reason."""
    reasons = ("new item", "changed text", "new codebook")
    counts = [F.sum((F.col("reason") == reason).cast("long")).alias(reason.replace(" ", "_")) for reason in reasons]
    nights = changes.groupBy("table_version", F.date_trunc("second", "changed_at").alias("changed_at")).agg(*counts)
    return nights.orderBy(F.col("table_version").desc()).limit(NIGHTS_SHOWN).collect()


def moved_items(changes: DataFrame, items: DataFrame) -> list[Any]:
    """The items whose semantic ID changed in the newest version with any assignment or change, at most 1,000."""
    newest = changes.agg(F.max("table_version")).collect()[0][0]
    moved = changes.where((F.col("table_version") == newest) & (F.col("reason") != "new item"))
    titled = moved.join(items.select("item_id", "text"), "item_id", "left").orderBy("reason", "item_id")
    return titled.limit(MOVES_SHOWN).collect()


def refit_state(run: Run, values: dict[tuple[str, str], list[float | None]]) -> dict[str, Any]:
    """How well new contents fit the codebook compared with its first contents, and whether a refit is due."""
    settings = run.settings.codebook
    codebook = run.use("codebook", "fit_codebook")

    def newest(name: str, slice: str = "all") -> float | None:
        return values.get((name, slice), [None])[0]

    return {
        "codebook": codebook.version,
        "due": bool(newest("codes.refit_due", codebook.version)),
        "new": newest("codes.new_contents"),
        "after": settings.refit_after,
        "rows": [
            ("reconstruction error", newest("codes.baseline_error"), newest("codes.new_error"),
             settings.refit_error_factor),
            ("share of contents that collide", newest("codes.baseline_collision_rate"),
             newest("codes.new_collision_rate"), settings.refit_collision_factor),
        ],
    }  # fmt: skip
