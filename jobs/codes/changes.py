"""Records which semantic IDs were assigned or changed, and why, from the change data feed of ``semantic_ids``."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.run import Run
from schemas.tables import SEMANTIC_IDS, SID_CHANGES

BEFORE, AFTER = "update_preimage", "update_postimage"


def changes_of(feed: DataFrame) -> DataFrame:
    """Rows of ``sid_changes``: items that are new or whose semantic ID changed.

    If both the text and the codebook changed, the reason is the text.

    Args:
        feed: ``semantic_ids`` with Delta's ``_change_type``, ``_commit_version`` and ``_commit_timestamp``.
    """
    new = feed.where(F.col("_change_type").isin("insert", AFTER))
    old = feed.where(F.col("_change_type") == BEFORE).select(
        "item_id",
        "_commit_version",
        F.col("sid").alias("old_sid"),
        F.col("content_hash").alias("old_content"),
        F.col("codebook_version").alias("old_codebook_version"),
    )
    reason = (
        F.when(F.col("old_sid").isNull(), "new item")
        .when(F.col("old_content") != F.col("content_hash"), "changed text")
        .otherwise("new codebook")
    )
    return (
        new.join(old, ["item_id", "_commit_version"], "left")
        .where(~F.col("sid").eqNullSafe(F.col("old_sid")))
        .select(
            "item_id",
            reason.alias("reason"),
            "old_sid",
            F.col("sid").alias("new_sid"),
            "old_codebook_version",
            "codebook_version",
            F.col("_commit_version").alias("table_version"),
            F.col("_commit_timestamp").alias("changed_at"),
        )
    )


def record_changes(run: Run) -> None:
    """Appends all changes since the last recorded version, including those of runs that failed before recording."""
    before = run.find(SID_CHANGES.name)
    newest = None if before is None else before.agg(F.max("table_version")).collect()[0][0]
    recorded = -1 if newest is None else int(newest)
    if int(run.outputs[SEMANTIC_IDS.name]) <= recorded:
        return
    changes = changes_of(run.lake.warehouse.changes(SEMANTIC_IDS.name, recorded + 1)).persist()
    counts = changes.groupBy("reason").count().collect()
    for row in counts:
        run.measure("codes.changed", row["count"], row["reason"])
    if counts:
        run.append(SID_CHANGES, changes)
    changes.unpersist()
