"""Semantic IDs: quality of every method with the same number of SIDs, assignment at scale, memory, and ten nights.

    python -m benchmarks.codes [--part NAME] [--embeddings WAREHOUSE]

Parts: ``complete_journey`` (first embeds its contents, unless ``--embeddings`` names a warehouse that has them),
``generated`` (a million contents), ``spark``, ``memory`` and ``nights``. Each part runs in its own process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pandas as pd
import torch
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks._code_methods import compare
from benchmarks._code_tables import write_methods, write_nights, write_scale
from benchmarks._generated_embeddings import generate_embeddings
from benchmarks._memory import PeakMemory
from benchmarks._nights import nights_of
from benchmarks._pair_hits import later_pairs
from benchmarks.generate_log import LogShape, generate_log
from jobs import fit_codebook
from lake.execution import new_run_id, run_job
from lake.lake import Lake
from lake.periods import split_periods
from lake.session import start_session
from models.quantize.methods import method_of
from models.quantize.quality import reconstruction_errors
from schemas.settings import load_settings
from schemas.tables import ITEM_EMBEDDINGS
from udfs.arrays import column_matrix
from udfs.codes import CODES_SCHEMA, assign

ROOT = Path(__file__).parents[1]
MILLION = LogShape(events=1_500_000, users=20_000, items=1_000_000, clusters=20_000)
DIMENSION = 576


def pairs_of(log: pd.DataFrame, contents: pd.Series, periods: Any) -> np.ndarray:
    """Pairs of contents that one user took on one day of the test period.

    Args:
        log: columns user_id, item_id, event_date.
        contents: position of each item's content, by item_id.
        periods: periods of the log.
    """
    later = log[log["event_date"] >= periods.test_from]
    frame = pd.DataFrame(
        {"user": later["user_id"], "item": later["item_id"].map(contents), "day": later["event_date"]}
    ).dropna()
    pairs = later_pairs(frame.astype({"item": np.int64}).drop_duplicates())
    return pairs[:, pairs[0] != pairs[1]]


def session() -> SparkSession:
    """Starts Spark on two cores with the default driver memory of spark-submit.sh."""
    off = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    conf = {"spark.master": "local[2]", "spark.driver.memory": "2g", **off}
    return start_session("benchmark of codes", load_settings().spark.model_copy(update={"conf": conf}))


def embedded(warehouse: str) -> str:
    """Makes a warehouse with Complete Journey's log and the embeddings of its items, with the demo's settings."""
    if warehouse:
        return warehouse
    folder = tempfile.mkdtemp(prefix="qarm-bench-codes-")
    config = ["--config", "conf/demo.toml"]
    data = [
        sys.executable,
        "demo/complete_journey.py",
        *config,
        "--set",
        "demo.households=0",
        "--out",
        f"{folder}/input",
    ]
    subprocess.run(data, check=True, cwd=ROOT, stdout=sys.stderr)
    files = ["--interactions", f"{folder}/input/interactions.parquet", "--items", f"{folder}/input/items.parquet"]
    as_it_is = [
        "--set",
        "align.steps=0",
    ]  # without alignment, so that codes are compared on the same embeddings every time
    for job, more in (("ingest", files), ("embed_items", as_it_is)):
        command = ["./spark-submit.sh", job, *config, "--warehouse", f"{folder}/warehouse", *more]
        subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)
    return f"{folder}/warehouse"


def contents_of(warehouse: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Embeddings of distinct contents, shape (n, d), and the position of each item's content by item_id."""
    table = deltalake.DeltaTable(f"{warehouse}/{ITEM_EMBEDDINGS.name}").to_pyarrow_table(
        columns=["item_id", "content_hash", "embedding"]
    )
    items = table.select(["item_id", "content_hash"]).to_pandas()
    items["position"], _ = pd.factorize(items["content_hash"], sort=True)
    first = items.drop_duplicates("position").sort_values("position").index
    return column_matrix(table["embedding"])[first], items


def complete_journey(warehouse: str) -> list[dict[str, Any]]:
    """Measures every method on Complete Journey's contents, and the main methods on contents left out of the fit."""
    vectors, items = contents_of(warehouse)
    spark = session()
    interactions = Lake(spark, load_settings(), warehouse).warehouse.read("interactions")
    periods = split_periods(interactions, load_settings().split)
    log = interactions.select("user_id", "item_id", "event_date").toPandas()
    spark.stop()
    pairs = pairs_of(log, items.set_index("item_id")["position"], periods)
    what = "Complete Journey, all products, embedded as in the demo (SmolLM2, layer 12)."
    shuffled = np.random.default_rng(3).permutation(len(vectors))
    new, fitted = np.split(shuffled, [len(vectors) // 5])
    place = np.full(len(vectors), -1)
    place[new] = np.arange(len(new))
    among_new = place[pairs][:, (place[pairs] >= 0).all(0)]
    return [
        compare(vectors, pairs, what),
        compare(vectors[new], among_new, f"{what} A fifth of the contents, fitted on the others.", vectors[fitted]),
    ]


def generated(warehouse: str) -> dict[str, Any]:
    """Measures every method on a million generated embeddings, with pairs from a generated log of the same clusters."""
    vectors, items = contents_of(warehouse)
    spark = session()
    interactions = generate_log(spark, MILLION).withColumn("event_date", F.to_date("event_time"))
    periods = split_periods(interactions, load_settings().split)
    log = interactions.select("user_id", "item_id", "event_date").toPandas()
    spark.stop()
    pairs = pairs_of(log, items.set_index("item_id")["position"], periods)
    fitted = np.random.default_rng(4).choice(len(vectors), load_settings().codebook.sample_size, replace=False)
    return compare(vectors, pairs, "Generated: 20,000 clusters in 400 topics.", vectors[np.sort(fitted)])


def write_million(folder: str) -> str:
    """Writes a warehouse with a million generated embeddings."""
    spark = session()
    lake = Lake(spark, load_settings(), folder)
    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "nothing").write_text("")
        encoder = lake.artifacts.publish("encoder", Path(empty), {"recipe": {}})
    rows = generate_embeddings(spark, MILLION, DIMENSION).withColumns(
        {"encoder_version": F.lit(encoder.version), "text_embedding": F.col("search_embedding")}
    )
    lake.warehouse.overwrite(ITEM_EMBEDDINGS, rows)
    spark.stop()
    return folder


def on_spark(warehouse: str) -> dict[str, Any]:
    """Measures assignment by Spark, and by the same codebook in one process without Spark."""
    spark = session()
    lake = Lake(spark, load_settings(), warehouse)
    book = method_of(quick().codebook).fit(contents_of(warehouse)[0][:50_000], contents=1_000_000)
    with tempfile.TemporaryDirectory(prefix="qarm-bench-") as folder:
        book.save(Path(folder))
        rows = lake.warehouse.read(ITEM_EMBEDDINGS.name).select("content_hash", "embedding")
        rows.limit(20_000).mapInArrow(assign(folder), CODES_SCHEMA).write.format("noop").mode("overwrite").save()
        start = time.perf_counter()
        rows.mapInArrow(assign(folder), CODES_SCHEMA).write.format("noop").mode("overwrite").save()
        seconds = time.perf_counter() - start
        count = rows.count()
    spark.stop()
    torch.set_num_threads(2)
    start = time.perf_counter()
    vectors = contents_of(warehouse)[0]
    reading = time.perf_counter() - start
    start = time.perf_counter()
    _, _, built = book.assign_with_residuals(vectors)
    reconstruction_errors(vectors, built)
    bare = time.perf_counter() - start
    return {
        "contents": count, "dimension": vectors.shape[1], "sizes": book.sizes, "spark_seconds": seconds,
        "spark_rate": count / seconds,
        "bare": {"bare process, matrix in memory": bare, "bare process, read from Parquet": bare + reading},
    }  # fmt: skip


def quick(*more: str) -> Any:
    """Settings with a short fit, and with the sizes and memory use of the defaults."""
    return load_settings((), ["codebook.kmeans.iterations=2", "codebook.fsq.steps=200", *more])


def memory(warehouse: str) -> dict[str, Any]:
    """Measures the peak memory of a fit on a million embeddings."""
    spark = session()
    lake = Lake(spark, quick("codebook.sample_size=1_000_000", "codebook.refit=now"), warehouse)
    with PeakMemory() as peak:
        start = time.perf_counter()
        run_job(lake, fit_codebook.JOB, new_run_id())
    spark.stop()
    return {"seconds": time.perf_counter() - start, "gigabytes": peak.gigabytes, "iterations": 2, "steps": 200}


def nights(warehouse: str) -> list[dict[str, Any]]:
    """Runs ten nights over Complete Journey's contents."""
    spark = session()
    rows = nights_of(spark, contents_of(warehouse)[0])
    spark.stop()
    return rows


PARTS: dict[str, Callable[[str], Any]] = {
    "complete_journey": complete_journey,
    "generated": generated,
    "spark": on_spark,
    "memory": memory,
    "nights": nights,
    "write_million": write_million,
}


def in_own_process(part: str, warehouse: str) -> Any:
    """Runs one part in a new process."""
    command = [sys.executable, "-m", "benchmarks.codes", "--part", part, "--embeddings", warehouse]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Runs every part and writes the tables, or one part and prints its JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--part", choices=PARTS, help="only this part, in this process; prints JSON")
    parser.add_argument("--embeddings", default="", metavar="WAREHOUSE", help="that holds the embeddings")
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options.embeddings)))
        return
    warehouse = embedded(options.embeddings)
    fitted, new = in_own_process("complete_journey", warehouse)
    write_methods("Codes of Complete Journey", fitted)
    write_methods("Codes of contents not fitted on", new)
    write_nights(in_own_process("nights", warehouse))
    with tempfile.TemporaryDirectory(prefix="qarm-bench-million-") as folder:
        million = in_own_process("write_million", folder)
        write_methods("Codes of a million", in_own_process("generated", million))
        write_scale(in_own_process("spark", million), in_own_process("memory", million))


if __name__ == "__main__":
    main()
