"""The page's numbers and figures about semantic IDs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.page.figure import Figure
from jobs.page.history import History, value_of
from jobs.page.quality import by_night
from lake.frames import collect_utc
from lake.run import Run
from schemas.names import SID_COLUMNS

MOST_CODES = 8192
"""Most codes of a level that a figure shows."""

LARGEST_BUCKET_SHOWN = 30
NIGHTS_SHOWN = 10
MOVES_SHOWN = 200


def contents_of(codes: DataFrame, items: DataFrame) -> DataFrame:
    """One row per distinct content: its first item, its codes, title and category, and its number of items.

    Args:
        codes: rows of ``semantic_ids`` of one codebook.
        items: item_id, title, category.
    """
    first = codes.groupBy("content_hash").agg(
        F.min_by(F.struct("item_id", "sid", *SID_COLUMNS), "item_id").alias("first"), F.count("*").alias("items")
    )
    return first.select("content_hash", "items", "first.*").join(items, "item_id", "left")


def code_use(contents: DataFrame, sizes: Sequence[int]) -> Figure:
    """How often each code of each level is used. Driver memory: :data:`MOST_CODES` numbers per level.

    Args:
        contents: result of :func:`contents_of`.
        sizes: number of codes of each level.
    """
    counted = contents.agg(*(F.count_distinct(level).alias(level) for level in SID_COLUMNS)).collect()[0]
    series, rows = [], []
    for level, size in zip(SID_COLUMNS, sizes, strict=False):
        counts = contents.where(F.col(level).isNotNull()).groupBy(level).count().orderBy(F.desc("count"))
        largest = [row["count"] for row in counts.limit(MOST_CODES).collect()]
        shown = [*largest, *[0] * (min(size, MOST_CODES) - len(largest))]
        series.append({"name": level, "points": [[i + 1, count] for i, count in enumerate(shown)], "area": True})
        rows.append([level, size, counted[level], counted[level] / size, largest[0] if largest else 0])
    told = "; ".join(f"{level}: {used:,} of {size:,} codes used" for level, size, used, _, _ in rows)
    return Figure(
        name="code-use",
        title="use of the codes",
        alt=f"Distinct contents of every code, the most used first. {told}",
        kind="lines",
        data={"series": series, "x": "codes, the most used first", "digits": 0, "zero": True},
        columns=["level", "codes", "used", "share used", "contents of the most used"],
        rows=rows,
        note=told,
    )


def bucket_sizes(contents: DataFrame) -> Figure:
    """Number of semantic IDs by the number of distinct contents that share one."""
    size = F.least("count", F.lit(LARGEST_BUCKET_SHOWN)).cast("int").alias("size")
    found = contents.groupBy("sid").count().groupBy(size).count().orderBy("size").collect()
    rows = [[row["size"], row["count"]] for row in found]
    labels = [f"{size} or more" if size == LARGEST_BUCKET_SHOWN else str(size) for size, _ in rows]
    alone = next((count for size, count in rows if size == 1), 0)
    return Figure(
        name="bucket-sizes",
        title="semantic IDs by the contents that share them",
        alt=f"{alone:,} of {sum(count for _, count in rows):,} semantic IDs belong to one content alone",
        kind="bars",
        data={
            "labels": labels,
            "series": [{"name": "semantic IDs", "values": [count for _, count in rows]}],
            "log": True,
            "digits": 0,
            "x": "contents",
        },
        columns=["contents that share it", "semantic IDs"],
        rows=rows,
        note="Items with the same content always share a semantic ID and are counted once here.",
    )


def collisions_by_night(history: History) -> Figure:
    """The collision rate of contents and of items by night."""
    names = {
        "contents": ("codes.collision_rate", "distinct_contents"),
        "items": ("codes.collision_rate", "items"),
    }
    labels, series = by_night(history, names)
    newest = value_of(history, *names["contents"])
    return Figure(
        name="collisions",
        title="share that collides, by night",
        alt="Share of contents and of items that share their semantic ID with another, by night; newest of contents: "
        + ("unknown" if newest is None else f"{newest:.4f}"),
        kind="nights",
        data={"labels": labels, "series": series, "digits": 4},
        columns=["night (UTC)", *names],
        rows=[[label, *(one["values"][i] for one in series)] for i, label in enumerate(labels)],
    )


def crowded_prefixes(contents: DataFrame) -> list[Any]:
    """The ten prefixes sid_1-sid_2 with the most contents, each with up to three different titles."""
    shown = contents.withColumns(
        {"prefix": F.concat_ws("-", "sid_1", "sid_2"), "text": F.coalesce("title", "category", F.lit("no title"))}
    )
    rows = (
        shown.groupBy("prefix")
        .agg(
            F.count("*").alias("contents"),
            F.sum("items").alias("items"),
            F.array_distinct(F.array(F.min("text"), F.min_by("text", F.xxhash64("content_hash")), F.max("text"))).alias(
                "titles"
            ),
        )
        .orderBy(F.desc("contents"), "prefix")
        .limit(10)
    )
    return rows.collect()


def changes_by_night(changes: DataFrame) -> list[Any]:
    """Number of semantic IDs that the last versions of the table assigned or changed, by reason."""
    reasons = ("new item", "changed text", "new codebook")
    counts = [F.sum((F.col("reason") == reason).cast("long")).alias(reason.replace(" ", "_")) for reason in reasons]
    nights = changes.groupBy("table_version", F.date_trunc("second", "changed_at").alias("changed_at")).agg(*counts)
    return [*collect_utc(nights.orderBy(F.col("table_version").desc()).limit(NIGHTS_SHOWN))]


def moved_contents(changes: DataFrame, items: DataFrame) -> tuple[list[Any], int]:
    """Contents whose semantic ID changed in the newest version with any assignment or change, with their items.

    Args:
        changes: ``sid_changes``.
        items: item_id, title, content_hash.

    Returns:
        At most :data:`MOVES_SHOWN` rows, and the number of all.
    """
    newest = changes.agg(F.max("table_version")).collect()[0][0]
    moved = changes.where((F.col("table_version") == newest) & (F.col("reason") != "new item"))
    of_content = moved.join(items.select("item_id", "title", "content_hash"), "item_id", "left").groupBy(
        "content_hash", "reason", "old_sid", "new_sid", "table_version"
    )
    rows = of_content.agg(F.count("*").alias("items"), F.min("item_id").alias("item_id"), F.min("title").alias("title"))
    shown = rows.orderBy(F.desc("items"), "reason", "item_id").limit(MOVES_SHOWN).collect()
    return shown, len(shown) if len(shown) < MOVES_SHOWN else rows.count()


def refit_state(run: Run, history: Mapping[Any, Any]) -> dict[str, Any]:
    """How well new contents fit the codebook compared with its first contents, and whether a refit is due."""
    settings = run.settings.codebook
    codebook = run.use("codebook", "fit_codebook")

    def newest(name: str, slice: str = "all") -> float | None:
        return value_of(history, name, slice)

    return {
        "codebook": codebook.version,
        "due": bool(newest("codes.refit_due", codebook.version)),
        "new": newest("codes.new_contents"),
        "after": settings.refit_after,
        "rows": [
            ["reconstruction error", newest("codes.baseline_error"), newest("codes.new_error"),
             settings.refit_error_factor],
            ["share of contents that collide", newest("codes.baseline_collision_rate"),
             newest("codes.new_collision_rate"), settings.refit_collision_factor],
        ],
    }  # fmt: skip
