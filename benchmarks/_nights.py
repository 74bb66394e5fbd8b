"""Ten nights of assigning semantic IDs with an unchanged codebook."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import assign_semantic_ids, fit_codebook
from lake.execution import new_run_id, run_job
from lake.lake import Lake
from schemas.settings import load_settings
from schemas.tables import ITEM_EMBEDDINGS, SEMANTIC_IDS, SID_CHANGES

CONTENTS = 2_500


def nights_of(spark: SparkSession, vectors: np.ndarray) -> list[dict[str, Any]]:
    """Runs ten nights for each way to resolve collisions; each night 1 % of the contents are new and 1 % changed.

    Args:
        spark: the Spark session.
        vectors: embeddings of contents, shape (n, d); the first night starts with four fifths of them.
    """
    vectors = vectors[np.random.default_rng(1).permutation(len(vectors))[:CONTENTS]]
    rows: list[dict[str, Any]] = []
    for collisions in ("suffix", "next_best"):
        folder = tempfile.mkdtemp(prefix="qarm-bench-nights-")
        lake = Lake(spark, load_settings((), [f"codebook.collisions={collisions}", "codebook.fsq.steps=500"]), folder)
        encoder = lake.artifacts.publish("encoder", Path(__file__).parent, {"recipe": {}})
        rows += _ten_nights(lake, vectors, encoder.version, collisions)
        shutil.rmtree(folder)
    return rows


def _ten_nights(lake: Lake, vectors: np.ndarray, encoder: str, collisions: str) -> list[dict[str, Any]]:
    generator = np.random.default_rng(2)
    start = int(len(vectors) * 0.8)
    share = start // 100
    spare = iter(range(start, len(vectors)))
    items = pd.DataFrame({"item_id": [f"i{i:06d}" for i in range(start)], "row": np.arange(start)})
    rows = []
    for night in range(11):
        changed = new = np.array([], str)
        if night:
            known = items["item_id"].to_numpy()
            changed = generator.choice(known, share, replace=False)
            items.loc[items["item_id"].isin(changed), "row"] = [next(spare) for _ in changed]
            new = np.array([f"n{night:02d}{i:04d}" for i in range(share)])
            items = pd.concat([items, pd.DataFrame({"item_id": new, "row": [next(spare) for _ in new]})])
        frame = items.assign(
            embedding=[vectors[row].tolist() for row in items["row"]],
            content_hash=items["row"].astype(str).radd("content "),
        )
        table = lake.spark.createDataFrame(frame[["item_id", "embedding", "content_hash"]])
        vector = F.col("embedding").cast("array<float>")
        reduced = {name: F.slice(vector, 1, 8) for name in ("search_embedding", "text_embedding")}
        table = table.withColumns({"embedding": vector, **reduced, "encoder_version": F.lit(encoder)})
        lake.warehouse.overwrite(ITEM_EMBEDDINGS, table)
        before = None if not night else _sids(lake)
        clock = time.perf_counter()
        if not night:
            run_job(lake, fit_codebook.JOB, new_run_id())
        metrics = run_job(lake, assign_semantic_ids.JOB, new_run_id()).metrics
        seconds = time.perf_counter() - clock
        if before is None:
            continue
        after = _sids(lake)
        moved = set(before.index[after[before.index] != before])
        version = lake.warehouse.version(SEMANTIC_IDS.name)
        reported = lake.warehouse.read(SID_CHANGES.name).where(f"table_version = {version} AND reason <> 'new item'")
        named = {row["item_id"] for row in reported.select("item_id").collect()}
        if named != moved:
            raise AssertionError(f"{len(moved)} items moved, but sid_changes reports {len(named)}")
        if not moved <= set(changed):
            raise AssertionError(f"SIDs of unchanged items moved: {sorted(moved - set(changed))[:10]}")
        rows.append(
            {
                "collisions": collisions, "night": night, "items": len(items), "new": len(new), "changed": len(changed),
                "unchanged_moved": len(moved - set(changed)), "moved": len(moved), "reported": len(named),
                "collision_rate": metrics["codes.collision_rate/distinct_contents"], "seconds": seconds,
            }
        )  # fmt: skip
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def _sids(lake: Lake) -> pd.Series:
    return lake.warehouse.read(SEMANTIC_IDS.name).select("item_id", "sid").toPandas().set_index("item_id")["sid"]
