"""Time of ``ingest`` on all of Complete Journey by format of the log, each in an empty warehouse.

    python -m benchmarks.ingest [--code FOLDER]

The formats take turns for several rounds in one Spark session, so that other load affects all alike. With
``--code``, the checkout of an earlier version reads the Parquet log too, in a session of its own.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._table import write_table
from demo.complete_journey import write
from jobs import ingest
from lake.execution import new_run_id, run_job
from lake.lake import Lake
from lake.session import start_session
from schemas.settings import load_settings

CONFIG = Path(__file__).parents[1] / "conf" / "demo.toml"
TIME = "transaction_timestamp"
ROUNDS = 3
CHILD = """
import sys, time
from jobs import ingest
from lake.execution import new_run_id, run_job
from lake.lake import Lake
from lake.session import start_session
from schemas.settings import load_settings
log, items, config, out, rounds = sys.argv[1:]
settings = load_settings((config,), [f'ingest.interactions="{log}"', f'ingest.items="{items}"'])
settings.spark.conf["spark.driver.memory"] = settings.spark.driver_memory
spark = start_session("benchmark", settings.spark)
for n in range(int(rounds) + 1):
    start = time.monotonic()
    run_job(Lake(spark, settings, f"{out}/earlier-{n}"), ingest.JOB, new_run_id())
    if n:
        print("seconds", time.monotonic() - start, flush=True)
"""


def write_formats(folder: Path) -> tuple[dict[str, Path], Path]:
    """Writes the log in every format.

    Returns:
        Path of the log by format, and the path of the catalogue.
    """
    write(folder, 0)
    log, items = folder / "interactions.parquet", folder / "items.parquet"
    table = pq.read_table(log)
    place = table.schema.get_field_index(TIME)
    nanoseconds = table.set_column(place, TIME, table[TIME].cast(pa.timestamp("ns")))
    frame = table.to_pandas()
    text = frame.assign(**{TIME: frame[TIME].dt.strftime("%Y-%m-%dT%H:%M:%SZ")})
    quoted = text.assign(note=pd.Series(["two\nlines" if n % 1000 == 0 else "" for n in range(len(text))]))
    paths = {name: folder / file for name, file in (
        ("Parquet, nanoseconds", "nano.parquet"), ("CSV", "log.csv"), ("CSV with line breaks in fields", "breaks.csv"),
        ("JSON lines", "log.jsonl"),
    )}  # fmt: skip
    pq.write_table(nanoseconds, paths["Parquet, nanoseconds"])
    text.to_csv(paths["CSV"], index=False)
    quoted.to_csv(paths["CSV with line breaks in fields"], index=False)
    text.to_json(paths["JSON lines"], orient="records", lines=True)
    return {"Parquet": log, **paths}, items


def measured(logs: dict[str, Path], items: Path, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round by format; a first round that is not counted warms the JVM up."""
    settings = load_settings()
    settings.spark.conf["spark.driver.memory"] = settings.spark.driver_memory  # as spark-submit.sh gives it
    spark = start_session("benchmark", settings.spark)
    seconds: dict[str, list[float]] = {name: [] for name in logs}
    for number, (name, log) in itertools.product(range(rounds + 1), logs.items()):
        given = [f'ingest.interactions="{log}"', f'ingest.items="{items}"']
        lake = Lake(spark, load_settings((CONFIG,), given), str(folder / f"warehouse-{number}-{log.name}"))
        start = time.monotonic()
        run_job(lake, ingest.JOB, new_run_id())
        if number:
            seconds[name].append(time.monotonic() - start)
        shutil.rmtree(lake.location)
    return seconds


def earlier(code: Path, log: Path, items: Path, folder: Path, *, rounds: int) -> list[float]:
    """Seconds that an earlier version needs for the Parquet log."""
    command = [sys.executable, "-c", CHILD, *map(str, (log, items, CONFIG, folder, rounds))]
    environment = {**os.environ, "PYTHONPATH": str(code), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("seconds")]


def main() -> int:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--code", type=Path, help="checkout of an earlier version")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    base = "Parquet"
    with tempfile.TemporaryDirectory(prefix="qarm-") as name:
        folder = Path(name)
        logs, items = write_formats(folder)
        seconds = measured(logs, items, folder, options.rounds)
        if options.code:
            base = "Parquet, the earlier version"
            seconds[base] = earlier(options.code, logs["Parquet"], items, folder, rounds=options.rounds)
        rows = pq.ParquetFile(logs["Parquet"]).metadata.num_rows
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    write_table(
        "Ingest by format",
        "python -m benchmarks.ingest",
        ["log", "seconds", "rows a second", f"time / {base}"],
        [[name, f"{s:.1f}", f"{rows / s:,.0f}", f"{s / medians[base]:.2f}"] for name, s in medians.items()],
        note=f"The whole job on Complete Journey, {rows:,} rows, in an empty warehouse; medians of {options.rounds}"
        " rounds. The lines with breaks in fields have one in every thousandth row.",
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
