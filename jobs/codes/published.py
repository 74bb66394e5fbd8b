"""Reads published codes. The codes that a codebook gave a content never change under this codebook."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.artifacts import Artifact
from lake.run import Run
from schemas.errors import UserError
from schemas.names import SID_COLUMNS
from schemas.tables import SEMANTIC_IDS


def all_codes() -> Column:
    """All codes of a row of ``semantic_ids``: those of the levels, then the suffix."""
    return F.concat(F.array_compact(F.array(*SID_COLUMNS)), F.coalesce("sid_more", F.array().cast("array<int>")))


def current_ids(run: Run) -> DataFrame | None:
    """The current table ``semantic_ids``; None if it does not exist.

    Raises:
        UserError: an earlier version of qarm wrote the table with other columns.
    """
    rows = run.find(SEMANTIC_IDS.name)
    if rows is None:
        return None
    missing = [name for name in SEMANTIC_IDS.names if name not in rows.columns]
    if missing:
        raise UserError(
            f"table semantic_ids has no column {missing[0]}: an earlier qarm wrote it; move the table away, and the"
            " next run assigns new semantic IDs to all items"
        )
    return rows


def published_codes(run: Run, current: DataFrame, codebook: Artifact) -> DataFrame:
    """The codes that a codebook gave to contents; if the codebook is not the current one, from its last use.

    Returns:
        content_hash, codes ARRAY<INT> (one a level), suffix INT (null for none), reconstruction_error.
    """
    rows = current.where(F.col("codebook_version") == codebook.version)
    if rows.isEmpty():
        last = run.lake.ledger.last_output("assign_semantic_ids", "codebook", codebook.version, SEMANTIC_IDS.name)
        if last is not None:
            rows = run.read_earlier(SEMANTIC_IDS.name, last).where(F.col("codebook_version") == codebook.version)
    levels = len(codebook.card["sizes"])
    return (
        rows.groupBy("content_hash")
        .agg(F.min_by(all_codes(), "item_id").alias("all"), F.min_by("reconstruction_error", "item_id").alias("error"))
        .select(
            "content_hash",
            F.slice("all", 1, levels).alias("codes"),
            F.get("all", F.lit(levels)).alias("suffix"),
            F.col("error").alias("reconstruction_error"),
        )
    )
