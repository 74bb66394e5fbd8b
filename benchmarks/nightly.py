"""Seven nights on a generated log: what each costs by job, and whether its tables are those of a full refresh.

    python -m benchmarks.nightly [--events 1000000] [--nights 7] [--without-refresh] [--set section.key=value]
    python -m benchmarks.nightly --data complete_journey

The first night takes the log in. Each later night brings one day with 1 % more events, 1 % new and 0.5 % changed items.
All nights run in one Spark session, so the times are without Spark's start; the full refresh has a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks._memory import PeakMemory
from benchmarks._table import write_table
from benchmarks.generate_log import START, LogShape, generate_items, generate_log
from demo.complete_journey import write
from demo.processor import setting
from jobs import nightly
from jobs.start.machine import this_machine
from lake.command import main as run_command
from lake.lake import Lake
from lake.session import start_session
from schemas.settings import load_settings

SETTINGS = (
    "embed.layer=12", "examples.train_share=0.3", "ranker.max_epochs=2", "judge.max_pairs=400",
    "codebook.fsq.steps=1000",
)  # fmt: skip
"""Those of the demo, mostly: each makes the first night cheaper, and so the share of a later night larger."""
DEMO = Path(__file__).parents[1] / "conf" / "demo.toml"
DAYS = 60
NEW_ITEMS, CHANGED_ITEMS, NEW_EVENTS = 0.01, 0.005, 0.01
MUST_BE_EQUAL = {
    "interactions": ["user_id", "item_id", "event_time", "action", "weight"],
    "items": ["item_id", "content_hash"],
    "item_embeddings": ["item_id", "content_hash", "encoder_version"],
    "semantic_ids": ["item_id", "sid", "content_hash"],
}
"""Tables of which a later night makes the same rows as a full refresh, and their columns without times and run ids."""
TRAINING = ("train_ranker",)
ENDED_WELL = (0, 3)
"""Exit codes: published, and held back by the gate."""


class CompleteJourney:
    """The inputs of nights on Complete Journey, by the settings of the demo: each later night brings the next day.

    Args:
        nights: number of nights.
        folder: folder of the inputs.
    """

    def __init__(self, nights: int, folder: Path) -> None:
        self.log, self.items = folder / "log", folder / "items.parquet"
        write(folder, load_settings([DEMO]).demo.households)
        log = pd.read_parquet(folder / "interactions.parquet")
        day = log["transaction_timestamp"].dt.floor("D")
        self._night = (day - day.max()).dt.days.add(nights - 1).clip(lower=0)
        self._rows = log
        self.log.mkdir()

    def deliver(self, night: int) -> None:
        """Writes the file of the log that a night finds."""
        rows = self._rows[self._night == night]
        rows.to_parquet(self.log / f"night-{night}.parquet", coerce_timestamps="us", allow_truncated_timestamps=True)


class Simulation:
    """The inputs of nights on a generated log.

    Args:
        spark: the session.
        shape: shape of the log of the first night.
        nights: number of nights.
        folder: folder of the inputs.
    """

    def __init__(self, spark: SparkSession, shape: LogShape, nights: int, folder: Path) -> None:
        self.spark, self.nights, self.folder = spark, nights, folder
        self.log, self.items = folder / "log", folder / "items.parquet"
        days = shape.days + nights - 1
        whole = replace(shape, days=days, events=round(shape.events * days / shape.days))
        marks = {"born": self._night("born", NEW_ITEMS), "changed": self._night("changed", CHANGED_ITEMS)}
        items = generate_items(spark, shape).withColumns(marks)
        self._items = items.persist()
        day = F.floor((F.unix_seconds("event_time") - START) / 86_400)
        night = F.greatest(F.lit(0), day - shape.days + 1).alias("night")
        events = generate_log(spark, whole).select("*", night).join(items.select("item_id", "born"), "item_id")
        kept = NEW_EVENTS * shape.events / (shape.events / shape.days)
        drawn = F.pmod(F.xxhash64("user_id", "event_time"), F.lit(1_000_000)) < F.lit(round(kept * 1_000_000))
        events = events.where("born <= night").where((F.col("night") == 0) | drawn).drop("born")
        self._made = str(folder / "made")
        events.write.partitionBy("night").parquet(self._made)

    def _night(self, what: str, share: float) -> Any:
        """The later night of which an item is one of its share; 0 for the other items."""
        drawn = F.pmod(F.xxhash64(F.lit(what), "item_id"), F.lit(1_000_000)) / F.lit(1_000_000 * share)
        return F.when(drawn < self.nights - 1, F.floor(drawn) + 1).otherwise(0)

    def deliver(self, night: int) -> None:
        """Writes the files that a night finds: a new file of the log, and the catalogue as it is then."""
        self._write(self.spark.read.parquet(f"{self._made}/night={night}"), self.log / f"night-{night}.parquet")
        title = F.when(F.col("changed").between(1, night), F.concat("title", F.lit(" new"))).otherwise(F.col("title"))
        there = self._items.where(F.col("born") <= night).withColumn("title", title)
        self._write(there.drop("born", "changed"), self.items)

    def _write(self, rows: DataFrame, file: Path) -> None:
        written = self.folder / "written"
        rows.coalesce(1).write.mode("overwrite").parquet(str(written))
        file.parent.mkdir(parents=True, exist_ok=True)
        next(written.glob("part-*.parquet")).replace(file)


def options_of(inputs: Simulation | CompleteJourney, warehouse: Path, settings: list[str], *more: str) -> list[str]:
    """The options of a nightly on these inputs."""
    options = ["--warehouse", str(warehouse), "--interactions", str(inputs.log), "--items", str(inputs.items), *more]
    return options + [part for setting in settings for part in ("--set", setting)]


def run_night(spark: SparkSession, options: list[str]) -> None:
    """Runs a nightly in this process; it has to end well.

    What a night left in Spark's cache is dropped at its end, as the end of a night's own process does.

    Raises:
        RuntimeError: it did not.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        code = run_command(nightly.COMMAND, options)
    if code not in ENDED_WELL:
        raise RuntimeError(f"the nightly ended with exit code {code}")
    spark.catalog.clearCache()


def run_night_alone(options: list[str]) -> None:
    """Runs a nightly by spark-submit.sh in a process of its own, with a heap of its own; it has to end well.

    Raises:
        RuntimeError: it did not.
    """
    command = [str(DEMO.parents[1] / "spark-submit.sh"), "nightly", *options]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if ended.returncode not in ENDED_WELL:
        raise RuntimeError(f"the nightly ended with exit code {ended.returncode}")


def seconds_by_job(spark: SparkSession, warehouse: Path) -> pd.DataFrame:
    """Seconds of every job that ran, one column per night."""
    runs = spark.read.format("delta").load(f"{warehouse}/runs").toPandas()
    runs["seconds"] = (runs["ended_at"] - runs["started_at"]).dt.total_seconds()
    by_night = runs.pivot_table(index="job", columns="run_id", values="seconds", aggfunc="sum")
    order = [job.name for job in nightly.nightly_jobs() if job.name in by_night.index]
    return by_night.reindex(order).fillna(0.0)


def differing_rows(spark: SparkSession, one: Path, other: Path) -> dict[str, int]:
    """Number of rows in which two warehouses differ, by table of :data:`MUST_BE_EQUAL`."""
    counts = {}
    for table, columns in MUST_BE_EQUAL.items():
        a, b = (spark.read.format("delta").load(f"{w}/{table}").select(*columns) for w in (one, other))
        counts[table] = a.exceptAll(b).count() + b.exceptAll(a).count()
    return counts


def test_auc(spark: SparkSession, warehouse: Path) -> float:
    """The newest AUC of the ranker on the test split."""
    found = Lake(spark, load_settings(), str(warehouse)).ledger.last_metrics()
    return next(value for name, value in found.items() if name.endswith(".auc/test"))


def main() -> None:
    """Simulates the nights and writes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--data", choices=("generated", "complete_journey"), default="generated")
    parser.add_argument("--nights", type=int, default=7)
    parser.add_argument("--without-refresh", action="store_true", help="do not compare with a full refresh")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value")
    options = parser.parse_args()
    is_real = options.data == "complete_journey"
    given = [setting(this_machine()), *(() if is_real else SETTINGS), *options.set]
    settings = load_settings([DEMO] if is_real else (), given)
    settings.spark.conf["spark.driver.memory"] = settings.spark.driver_memory
    settings.spark.conf["spark.sql.ui.retainedExecutions"] = "50"  # of eight nights; they fill the driver's memory
    spark = start_session("benchmark nightly", settings.spark)
    shape = LogShape(events=options.events, users=options.users, items=options.items, days=DAYS)
    memory = PeakMemory()
    with tempfile.TemporaryDirectory(prefix="qarm-bench-nightly-") as folder:
        warehouse, refreshed = Path(folder) / "warehouse", Path(folder) / "refreshed"
        inputs: Simulation | CompleteJourney
        if is_real:
            inputs = CompleteJourney(options.nights, Path(folder) / "input")
        else:
            inputs = Simulation(spark, shape, options.nights, Path(folder) / "input")
        config = ["--config", str(DEMO)] if is_real else []
        for night in range(options.nights):
            inputs.deliver(night)
            started = time.monotonic()
            with memory:
                run_night(spark, options_of(inputs, warehouse, given, *config))
            print(f"night {night + 1}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        table = seconds_by_job(spark, warehouse)
        print(table.round(1).to_string(), file=sys.stderr)  # should the full refresh fail
        notes = [f"Peak memory of all processes: {memory.gigabytes:.1f} GiB."]
        if not options.without_refresh:
            shutil.copytree(warehouse, refreshed)
            run_night_alone(options_of(inputs, refreshed, given, "--full-refresh", *config))
            aucs = [test_auc(spark, place) for place in (warehouse, refreshed)]
            differ = differing_rows(spark, warehouse, refreshed)
            table["full refresh"] = seconds_by_job(spark, refreshed).iloc[:, -1]
            notes.append(
                f"Test AUC on the last night {aucs[0]:.4f}, after a full refresh of it {aucs[1]:.4f}. Rows that differ:"
                f" {', '.join(f'{name} {count}' for name, count in differ.items())}."
            )
    sums = {"all": table.sum(), "all without train_ranker": table.drop(list(TRAINING)).sum()}
    rows = [[name, *(f"{value:.1f}" for value in line)] for name, line in [*table.iterrows(), *sums.items()]]
    first = table.columns[0]
    if options.nights > 1:
        whole = sums["all"][first]
        shares = {f"{name}, share of the first night": line / line[first] for name, line in sums.items()}
        shares["all without train_ranker, share of all of the first night"] = sums["all without train_ranker"] / whole
        rows += [[name, *(f"{value:.0%}" for value in line)] for name, line in shares.items()]
    header = ["seconds", *(f"night {n + 1}" for n in range(options.nights)), *table.columns[options.nights :]]
    generated = f"A log of {options.events:,} events of {options.users:,} users on {options.items:,} items" + (
        "; each later night brings 1 % more events, 1 % new and 0.5 % changed items." if options.nights > 1 else "."
    )
    title = "Nights" if options.nights > 1 else f"A night of {options.events:,} events"
    real = "The households and the settings of the demo; the last nights bring a day each."
    write_table(
        "Nights on Complete Journey" if is_real else title,
        shlex.join(["python", "-m", "benchmarks.nightly", *sys.argv[1:]]),
        header,
        rows,
        note=f"{real if is_real else generated} Without Spark's start. {' '.join(notes)}",
    )


if __name__ == "__main__":
    main()
