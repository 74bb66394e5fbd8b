"""Writes generated tables to a warehouse, in the form that ``ingest`` gives them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from benchmarks.generate_log import LogShape, generate_items, generate_log
from lake.lake import Lake
from schemas.tables import INTERACTIONS, ITEMS


def write_generated(lake: Lake, shape: LogShape) -> None:
    """Writes ``interactions`` and ``items`` of a generated log, without the checks of ``ingest``."""
    log = generate_log(lake.spark, shape).dropDuplicates(["user_id", "item_id", "event_time", "action"])
    write_tables(lake, log, generate_items(lake.spark, shape))


def write_tables(lake: Lake, log: DataFrame, items: DataFrame) -> None:
    """Writes a log (user_id, item_id, event_time, action) and items (item_id, title, category, further columns)."""
    more = [name for name in items.columns if name not in {"item_id", "title", "category"}]
    pairs = [column for name in more for column in (F.lit(name), F.col(name).cast("string"))]
    shaped = items.select(
        "item_id",
        "title",
        "category",
        F.create_map(*pairs).cast("map<string,string>").alias("attributes"),
        F.lit(None).cast("string").alias("description"),
        F.lit(None).cast("binary").alias("image"),
        F.sha2(F.concat_ws("|", *items.drop("item_id").columns), 256).alias("content_hash"),
        F.current_timestamp().alias("first_seen"),
        F.current_timestamp().alias("updated_at"),
    )
    timed = log.withColumns({"weight": F.lit(1.0), "event_date": F.to_date("event_time")})
    lake.warehouse.overwrite(INTERACTIONS, timed)
    lake.warehouse.overwrite(ITEMS, shaped)
