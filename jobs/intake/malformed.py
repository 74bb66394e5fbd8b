"""Where malformed rows are, so that their owner finds them."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.inputs.part import MALFORMED, Part
from lake.inputs.text_lines import FILE

TEXT_LENGTH = 2_000
"""Characters of a malformed row that are kept."""


def malformed_rows(part: Part) -> DataFrame:
    """The malformed rows of a part as ``row``: JSON of the file, the number of the row in it, and the text.

    Empty lines and the header have no number. The files are read once more. Driver memory: none; executor memory: one
    row per 128 MB of the files.

    Args:
        part: rows of a format without types.
    """
    block = (FILE, "_block")
    rows = part.rows.select(
        FILE,
        MALFORMED,
        F.col("_metadata.file_block_start").alias("_block"),
        F.monotonically_increasing_id().alias("_id"),
    )
    blocks = rows.groupBy(*block).agg(F.min("_id").alias("_first"), F.count("*").alias("_count"))
    before = blocks.alias("a").join(
        blocks.select(F.col(FILE).alias("_f"), F.col("_block").alias("_b"), F.col("_count").alias("_before")),
        (F.col(FILE) == F.col("_f")) & (F.col("_b") < F.col("_block")),
        "left",
    )
    starts = before.groupBy(*block).agg(
        F.first("_first").alias("_first"), F.coalesce(F.sum("_before"), F.lit(0)).alias("_before")
    )
    number = F.col("_before") + F.col("_id") - F.col("_first") + 1
    return rows.where(F.col(MALFORMED).isNotNull()).join(F.broadcast(starts), list(block)).select(_place(number))


def _place(number: Column) -> Column:
    text = F.substring(MALFORMED, 1, TEXT_LENGTH)
    decoded = F.try_url_decode(F.replace(FILE, F.lit("+"), F.lit("%2B")))
    return F.to_json(F.struct(decoded.alias("file"), number.alias("number"), text.alias("text"))).alias("row")
