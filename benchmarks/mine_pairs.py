"""Swing in the mine_pairs job: compared with SQL joins, the bare kernel and other miners; its growth, and skewed data.

    python -m benchmarks.mine_pairs

Each part runs in its own process, after a warm-up on a small log. Times are those of the whole job, from the
``interactions`` table to ``item_pairs``. In the comparison with the bare kernel, which is compiled before it is timed,
they are the times of the job's first and second run in its JVM. Memory is the proportional set size of the driver, its
JVM and the Python workers, sampled twice a second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks import _mining_tables
from benchmarks._bare_swing import read_histories, score, write
from benchmarks._generated import write_generated, write_tables
from benchmarks._memory import PeakMemory
from benchmarks._mining_tables import CORES
from benchmarks._pair_hits import hit_rates
from benchmarks._sql_swing import held_items, sql_swing
from benchmarks.generate_log import LogShape, cluster_of
from demo.complete_journey import package_data
from jobs import mine_pairs
from jobs.pairs.histories import capped_histories, item_codes, item_keys, positives_of
from jobs.pairs.item2item import bucket_count, by_bucket, swing_pairs, user_rows
from lake.lake import Lake
from lake.periods import Periods, split_periods
from lake.run import Run
from lake.session import start_session
from models.pairs.swing import SwingParameters, UserItems, swing
from schemas.parameters import take
from schemas.settings import load_settings

PLAIN = ("mine.user2item.model=none",)
SIZES = (1_000_000, 3_000_000, 10_000_000)
LOWER_MEDIAN = 0.49
"""Quantile of the median task. For an even number of tasks, Spark's quantile 0.5 is the longer of the two middle tasks;
of two tasks it would be the longest."""


def shape_of(events: int, a_user: int = 500) -> LogShape:
    """Shape of a log with long histories: 500 events per user, 100 events per item, 100 items per cluster."""
    return LogShape(events=events, users=events // a_user, items=events // 100, clusters=events // 10_000)


def session() -> SparkSession:
    """Starts Spark on two cores, with its REST API for the tasks' times, and with the parallel garbage collector."""
    conf = {
        "spark.master": f"local[{CORES}]",
        "spark.driver.memory": "3g",
        "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",
    }
    settings = load_settings().spark
    return start_session("benchmark", settings.model_copy(update={"conf": conf}))


def lake_of(spark: SparkSession, shape: LogShape, *assignments: str) -> Lake:
    """A new warehouse with a generated log."""
    lake = Lake(spark, load_settings((), assignments), tempfile.mkdtemp(prefix="qarm-bench-"))
    write_generated(lake, shape)
    return lake


def run_job(lake: Lake) -> tuple[float, DataFrame]:
    """Runs the job; returns its time in seconds and the pairs that it wrote."""
    run = Run(lake, mine_pairs.JOB, "benchmark")
    start = time.perf_counter()
    mine_pairs.steps(run)
    seconds = time.perf_counter() - start
    lake.spark.catalog.clearCache()
    return seconds, lake.warehouse.read("item_pairs", int(run.outputs["item_pairs"]))


def run_thrice(lake: Lake) -> tuple[float, float, float, DataFrame]:
    """Runs the job three times: seconds of the first and of the second run, peak GiB of the third, and the pairs.

    Memory is measured in a separate run, because sampling takes time.
    """
    first, _ = run_job(lake)
    second, _ = run_job(lake)
    with PeakMemory() as memory:
        _, pairs = run_job(lake)
    return first, second, memory.gigabytes, pairs


def warm_up(spark: SparkSession, *assignments: str) -> None:
    """Runs the job on a small log, so that the JVM and the workers have compiled their code."""
    run_job(lake_of(spark, shape_of(100_000), *assignments))


def periods_of(lake: Lake) -> Periods:
    """Periods of a lake's log."""
    return split_periods(lake.warehouse.read("interactions"), lake.settings.split)


def against_sql(events: int) -> dict[str, Any]:
    """Compares the job's Swing with Swing as SQL joins, on the same capped and sampled histories in memory."""
    plain = (*PLAIN, "mine.significance=0", "mine.exclude_same_content=false")
    spark = session()
    warm_up(spark, *plain)
    lake = lake_of(spark, shape_of(events), *plain)
    mine, interactions = lake.settings.mine, lake.warehouse.read("interactions")
    periods = periods_of(lake)
    histories = capped_histories(positives_of(interactions, periods, mine, lake.settings.ranking), mine).persist()
    codes = item_codes(histories, item_keys(lake.warehouse.read("items"))).persist()
    count = codes.count()
    users = user_rows(histories, codes, count, mine, until=periods.valid_from).persist()
    users.count()
    start = time.perf_counter()
    buckets, total = bucket_count(users, count, mine.rows_per_task)
    ours = swing_pairs(by_bucket(users, buckets), mine, total, buckets).persist()
    pairs = ours.count()
    seconds = time.perf_counter() - start
    held = held_items(users).persist()
    held.count()
    start = time.perf_counter()
    joined = sql_swing(held, mine).persist()
    rows = joined.count()
    sql_seconds = time.perf_counter() - start
    both = ours.join(joined, ["trigger", "target"], "inner")
    matched, difference = both.select(F.count("*"), F.max(F.abs(ours["score"] / joined["sql_score"] - 1))).collect()[0]
    return {
        "ours": seconds, "sql": sql_seconds, "pairs": pairs, "sql_pairs": rows, "matched": matched,
        "difference": difference,
    }  # fmt: skip


def growth(events: int) -> dict[str, Any]:
    """Measures time and memory of the job, and the time of the bare kernel on the same files."""
    spark = session()
    warm_up(spark, *PLAIN)
    lake = lake_of(spark, shape_of(events), *PLAIN)
    first, seconds, memory, pairs = run_thrice(lake)
    in_cluster = cluster_share(pairs, shape_of(events))
    count = pairs.count()
    hits = hit_rates(lake, pairs, ("cosine",))
    files, until = input_of(lake)
    spark.stop()
    return {
        "first": first, "seconds": seconds, "memory": memory, "pairs": count,
        "bare": bare_times(lake, files, until), "in_cluster": in_cluster, "hits": hits,
    }  # fmt: skip


def input_of(lake: Lake) -> tuple[list[str], datetime]:
    """Files of the log, and the end of its train period."""
    files = [path.removeprefix("file:") for path in lake.warehouse.read("interactions").inputFiles()]
    return files, datetime.combine(periods_of(lake).valid_from, datetime.min.time())


def bare_times(lake: Lake, files: list[str], until: datetime) -> dict[int, dict[str, float]]:
    """Seconds of the bare kernel in this process, on one thread and on as many threads as Spark has cores."""
    mine = lake.settings.mine
    parameters = take(SwingParameters, mine)
    two = np.array([0, 1, 0, 1], np.int32)
    shared = UserItems(np.array([0, 2, 4]), two, two >= 0, two[:2].astype(np.uint64), np.array([2, 2]), 2)
    swing(shared, parameters)  # compiles the kernel
    bare = {}
    for threads in (1, CORES):
        start = time.perf_counter()
        histories = read_histories(files, until, mine)
        read = time.perf_counter()
        found = score(histories, parameters, threads)
        scored = time.perf_counter()
        write(found, f"{tempfile.mkdtemp()}/pairs.parquet")
        bare[threads] = {"all": time.perf_counter() - start, "kernel": scored - read, "pairs": len(found)}
    return bare


def both_sources(events: int) -> dict[str, Any]:
    """Measures the job with its default settings: Swing and the two-tower model."""
    spark = session()
    warm_up(spark)
    lake = lake_of(spark, shape_of(events))
    with PeakMemory() as memory:
        seconds, pairs = run_job(lake)
    counts = dict(pairs.groupBy("source").count().collect())
    shares = {source: cluster_share(pairs.where(F.col("source") == source), shape_of(events)) for source in counts}
    return {"seconds": seconds, "memory": memory.gigabytes, "pairs": counts, "in_cluster": shares}


def skew(events: int) -> dict[str, Any]:
    """Compares each stage's longest task with its median on skewed data: Zipf 1.2, an item in half of all histories."""
    spark = session()
    warm_up(spark, *PLAIN)
    lake = lake_of(spark, replace(shape_of(events), zipf=1.2, hit_share=0.5), *PLAIN)
    before = {stage["stageId"] for stage in _stages(spark)}
    seconds, _ = run_job(lake)
    ratios = []
    for stage in _stages(spark):
        if stage["stageId"] in before or stage["status"] != "COMPLETE" or stage["numTasks"] < 2:
            continue
        attempt = f"stages/{stage['stageId']}/{stage['attemptId']}"
        quantiles = _api(spark, f"{attempt}/taskSummary?quantiles={LOWER_MEDIAN},1.0")
        median, longest = quantiles["executorRunTime"]
        if longest >= 1000:  # in milliseconds; the times of shorter tasks are mostly start-up and noise
            ratios.append((longest / max(median, 1), stage["numTasks"], median / 1000, longest / 1000))
    return {"seconds": seconds, "stages": sorted(ratios, reverse=True)}


def _stages(spark: SparkSession) -> list[dict[str, Any]]:
    return list(_api(spark, "stages"))


def _api(spark: SparkSession, path: str) -> Any:
    context = spark.sparkContext
    url = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}/{path}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def complete_journey(_: int) -> dict[str, Any]:
    """Hit rates on Complete Journey's pairs of the last month, over all households."""
    spark = session()
    log = pd.read_parquet(package_data() / "transactions.parquet")
    month = log["transaction_timestamp"] >= pd.Timestamp("2017-12-01")
    last_day = log["transaction_timestamp"] >= log["transaction_timestamp"].max().normalize()
    settings = (*PLAIN, f"split.valid_share={(month & ~last_day).mean()}", f"split.test_share={last_day.mean()}")
    lake = Lake(spark, load_settings((), settings), tempfile.mkdtemp(prefix="qarm-bench-"))
    table = spark.read.parquet(str(package_data() / "transactions.parquet"))
    events = table.select(
        F.col("household_id").cast("string").alias("user_id"),
        F.col("product_id").cast("string").alias("item_id"),
        F.col("transaction_timestamp").cast("timestamp").alias("event_time"),
        F.lit("click").alias("action"),
    ).distinct()
    products = spark.read.parquet(str(package_data() / "products.parquet")).select(
        F.col("product_id").cast("string").alias("item_id"),
        F.col("product_type").alias("title"),
        F.col("product_category").alias("category"),
        "department",
        "brand",
        "package_size",
    )
    write_tables(lake, events, products)
    warm_up(spark, *PLAIN)
    first, seconds, memory, pairs = run_thrice(lake)
    count, events_in = pairs.count(), events.count()
    others = ("cosine", "bm25", "tfidf")
    hits, other_contents = (hit_rates(lake, pairs, others, own_content_out=out) for out in (False, True))
    with_own_content = load_settings((), (*settings, "mine.exclude_same_content=false"))
    all_pairs = run_job(replace(lake, settings=with_own_content))[1]
    hits["qarm, own content mined"] = hit_rates(lake, all_pairs, ())["qarm"]
    first_day = str(periods_of(lake).valid_from)
    files, until = input_of(lake)
    spark.stop()
    return {
        "from": first_day, "first": first, "seconds": seconds, "memory": memory, "pairs": count,
        "events": events_in, "hits": hits, "hits_other_contents": other_contents,
        "bare": bare_times(lake, files, until),
    }  # fmt: skip


def cluster_share(pairs: DataFrame, shape: LogShape) -> float:
    """Share of pairs whose items belong to the same planted cluster."""
    same = cluster_of(F.col("trigger_item_id"), shape) == cluster_of(F.col("target_item_id"), shape)
    return float(pairs.agg(F.avg(same.cast("int"))).collect()[0][0])


PARTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "against_sql": against_sql,
    "growth": growth,
    "both_sources": both_sources,
    "skew": skew,
    "complete_journey": complete_journey,
}


def in_own_process(part: str, events: int) -> dict[str, Any]:
    """Runs the part of this name in a new process."""
    command = [sys.executable, "-m", "benchmarks.mine_pairs", "--part", part, "--events", str(events)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1])
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{part} {events}: {result}", file=sys.stderr, flush=True)
    return result


def main() -> None:
    """Runs every part and writes the tables, or runs one part and prints its JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--part", choices=PARTS, help="only this part, in this process; prints JSON")
    parser.add_argument("--events", type=int, default=SIZES[0])
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options.events)))
        return
    results = {f"growth_{events}": in_own_process("growth", events) for events in SIZES}
    results["both_sources"] = in_own_process("both_sources", SIZES[-1])
    results["skew"] = in_own_process("skew", SIZES[1])
    results["complete_journey"] = in_own_process("complete_journey", 0)
    results["against_sql"] = in_own_process("against_sql", SIZES[0])
    _mining_tables.write_tables(results, SIZES)


if __name__ == "__main__":
    main()
