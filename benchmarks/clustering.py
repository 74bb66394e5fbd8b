"""Files that a query must read before and after ``tidy`` orders the rows of a table (Z-order).

    python -m benchmarks.clustering [--events 1000000] [--items 200000]

Files are kept small, so that tables of this size have as many files as large ones have at Delta's own file size.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence

from pyspark.sql import functions as F

from benchmarks._table import write_table
from benchmarks.generate_log import START, LogShape, generate_log
from lake.lake import Lake
from lake.session import start_session
from lake.upkeep import compact, files_of
from schemas.contract import Contract
from schemas.settings import load_settings
from schemas.tables import INTERACTIONS, SEMANTIC_IDS

FILE_BYTES = 128 * 1024
"""Size of a file after compaction: an eight-thousandth of Delta's own, 1 GiB."""
NIGHTS, PARTS, CODES = 10, 8, 64


def write_interactions(lake: Lake, events: int) -> None:
    """A night a day, each of whose files holds all users."""
    log = generate_log(lake.spark, LogShape(events=events, days=NIGHTS)).withColumns(
        {"weight": F.lit(1.0), "event_date": F.to_date("event_time")}
    )
    for day in range(NIGHTS):
        of_day = log.where(F.floor((F.unix_seconds("event_time") - START) / 86_400) == day)
        lake.warehouse.append(INTERACTIONS, of_day.select(*INTERACTIONS.names).repartition(PARTS))


def write_codes(lake: Lake, items: int) -> None:
    """Nights that each bring items of all codes."""
    code = [F.pmod(F.xxhash64(F.lit(level), F.col("id")), F.lit(CODES)).cast("int") for level in range(3)]
    rows = lake.spark.range(items).select(
        F.format_string("i%08d", "id").alias("item_id"),
        *(code[level].alias(f"sid_{level + 1}") for level in range(3)),
        F.concat_ws("-", *code).alias("sid"),
        F.array(F.format_string("i%08d", F.pmod(F.col("id") + 1, F.lit(items)))).alias("neighbours"),
        F.lit(0.1).cast("float").alias("reconstruction_error"),
        F.lit("encoder").alias("encoder_version"),
        F.lit("codebook").alias("codebook_version"),
        F.current_timestamp().alias("assigned_at"),
        F.array().cast("array<int>").alias("sid_more"),
        F.sha2(F.col("id").cast("string"), 256).alias("content_hash"),
        F.pmod("id", F.lit(NIGHTS)).alias("night"),
    )
    for night in range(NIGHTS):
        of_night = rows.where(F.col("night") == night).select(*SEMANTIC_IDS.names)
        lake.warehouse.append(SEMANTIC_IDS, of_night.repartition(PARTS))


QUERIES: Sequence[tuple[Contract, str, str]] = (
    (INTERACTIONS, "a user", "user_id = 'u00004711'"),
    (INTERACTIONS, "a user's day", "user_id = 'u00004711' AND event_date = DATE'2025-01-05'"),
    (SEMANTIC_IDS, "all of sid_1", "sid_1 = 7"),
    (SEMANTIC_IDS, "a prefix of two codes", "sid_1 = 7 AND sid_2 = 11"),
    (SEMANTIC_IDS, "a semantic ID", "sid_1 = 7 AND sid_2 = 11 AND sid_3 = 13"),
)


def files_read(lake: Lake) -> list[int]:
    """The number of files that each query reads."""
    return [len(lake.warehouse.read(contract.name).where(where).inputFiles()) for contract, _, where in QUERIES]


def main() -> None:
    """Counts the files and writes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=200_000)
    options = parser.parse_args()
    settings = load_settings()
    settings.spark.conf["spark.databricks.delta.optimize.maxFileSize"] = str(FILE_BYTES)
    spark = start_session("benchmark clustering", settings.spark)
    with tempfile.TemporaryDirectory(prefix="qarm-bench-clustering-") as folder:
        lake = Lake(spark, settings, folder)
        write_interactions(lake, options.events)
        write_codes(lake, options.items)
        tables = (INTERACTIONS, SEMANTIC_IDS)
        before, counts = files_read(lake), {t.name: files_of(lake.warehouse, t.name).count for t in tables}
        for contract in tables:
            compact(lake.warehouse, contract)
        after, then = files_read(lake), {t.name: files_of(lake.warehouse, t.name).count for t in tables}
    rows = [
        [c.name, asked, f"{read} of {counts[c.name]}", f"{less} of {then[c.name]}", f"{less / then[c.name]:.0%}"]
        for (c, asked, _), read, less in zip(QUERIES, before, after, strict=True)
    ]
    write_table(
        "Clustering",
        "python -m benchmarks.clustering",
        ["table", "query for", "files read before tidy", "after", "share after"],
        rows,
        note=f"{options.events:,} events and {options.items:,} items, which came in {NIGHTS} nights with {PARTS} files"
        f" each; files of {FILE_BYTES // 1024} KiB after compaction in place of Delta's 1 GiB.",
    )


if __name__ == "__main__":
    main()
