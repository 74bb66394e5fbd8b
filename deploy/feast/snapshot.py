"""Writes the published night's codes and ranker features as Parquet for Feast, without Spark.

python snapshot.py WAREHOUSE   (a folder with published.json; needs the package deltalake)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable

HERE = Path(__file__).parent

CODES = ("item_id", "sid", "sid_1", "sid_2", "sid_3", "assigned_at")

KEYS = ("user_id", "item_id", "event_time")


def published(warehouse: Path, table: str) -> DeltaTable:
    """The version of a table that readers see."""
    told = json.loads((warehouse / "published.json").read_text(encoding="utf-8"))["tables"][table]
    here = warehouse / table  # the warehouse may have been moved or copied since
    path = str(here) if here.is_dir() else unquote(told["path"].removeprefix("file:"))
    return DeltaTable(path, version=told["version"])


def features(table: DeltaTable) -> pa.Table:
    """Keys and numbers of the examples: parts of a STRUCT become columns; arrays and what only teaches are left out."""
    rows = table.to_pyarrow_dataset()
    kept = [field for field in rows.schema if not field.name.startswith("label_") and field.name != "log_q"]
    paths = [path for field in kept for path in numbers(field, ())]
    columns = {"_".join(path): ds.field(*path) for path in [*((key,) for key in KEYS), *paths]}
    return rows.to_table(columns=columns)


def numbers(field: pa.Field, above: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The path of a column if it is a number, or those of its parts, if it is a STRUCT, that are."""
    path = (*above, field.name)
    if pa.types.is_struct(field.type):
        return [found for part in field.type for found in numbers(part, path)]
    return [path] if pa.types.is_integer(field.type) or pa.types.is_floating(field.type) else []


def main(warehouse: str) -> None:
    """Writes data/semantic_ids.parquet and data/ranker_features.parquet beside this file."""
    folder = HERE / "data"
    folder.mkdir(exist_ok=True)
    codes = published(Path(warehouse), "semantic_ids").to_pyarrow_table(columns=list(CODES))
    pq.write_table(codes, folder / "semantic_ids.parquet")
    pq.write_table(features(published(Path(warehouse), "ranker_examples")), folder / "ranker_features.parquet")


if __name__ == "__main__":
    main(sys.argv[1])
