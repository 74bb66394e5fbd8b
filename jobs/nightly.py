"""Runs all stale jobs, in order."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import jobs
from jobs.night.outcome import outcome_told
from jobs.night.past import assert_events_before, day_of, fill, lake_of
from jobs.night.plan import Choice, as_text, chosen, foreseen, whether_to_run
from jobs.night.views import show_again
from lake.command import Command, main
from lake.declaration import Job, Option, in_order
from lake.execution import new_run_id, run_job
from lake.lake import Lake
from lake.ledger import RunRecord
from lake.logs import about, on_terminal, say
from lake.night_lock import NightLock
from lake.staging import remove_staged
from lake.termination import ended_by_signal
from schemas.errors import HeldBackError
from schemas.settings import Settings

log = logging.getLogger("qarm")


def declared_jobs() -> list[Job]:
    """The jobs that files of this folder declare, sorted so that each comes after the jobs whose results it reads."""
    modules = (import_module(f"jobs.{found.name}") for found in iter_modules(jobs.__path__) if not found.ispkg)
    return in_order(job for module in modules if isinstance(job := getattr(module, "JOB", None), Job))


def nightly_jobs(settings: Settings | None = None) -> list[Job]:
    """The jobs that the nightly runs, in order.

    Args:
        settings: leave out what these settings do not ask for; None for all jobs.
    """
    return [job for job in declared_jobs() if job.nightly and (settings is None or job.wanted(settings))]


def check(settings: Settings) -> None:
    """Checks the settings for all jobs before the first job starts.

    Raises:
        UserError: a job cannot run with the settings.
    """
    for job in nightly_jobs(settings):
        job.check(settings)


def run_nightly(lake: Lake, choice: Choice, run_id: str, *, rows: list[dict[str, Any]]) -> None:
    """Runs the stale jobs.

    Args:
        lake: Spark and the warehouse, which this nightly holds.
        choice: the jobs, in order, and those that run in any case.
        run_id: id of the run, the same for all jobs.
        rows: gets one row per job: job, status, seconds, why, outputs, metrics.
    """
    last, usual, live = lake.ledger.last_done(), lake.ledger.usual_seconds(), on_terminal()
    show_again(lake)
    for number, job in enumerate(choice.jobs, 1):
        lake.assert_held()
        state = whether_to_run(lake, job, last.get(job.name), choice.wanted.get(job.name))
        place, record = f"[{number}/{len(choice.jobs)}]", None
        if not live:
            log.log(logging.INFO if state.is_stale else logging.DEBUG, "%s %s: %s", place, job.name, state.why)
        if state.is_stale:
            record = run_job(lake, job, run_id, place=place, usual=usual.get(job.name))
        rows.append(_row_of(job, state.why, record))
        if live:
            print(line_of(rows[-1]), file=sys.stderr)


def _row_of(job: Job, why: str, record: RunRecord | None) -> dict[str, Any]:
    return {
        "job": job.name,
        "status": "skipped" if record is None else record.status,
        "seconds": 0.0 if record is None else record.seconds,
        "why": why,
        "outputs": {} if record is None else dict(record.output_versions),
        "metrics": {} if record is None else dict(record.metrics),
    }


HEADING = f"{'job':<22}{'status':<10}{'seconds':>8}  why"


def line_of(row: Mapping[str, Any]) -> str:
    """A job's line of the table: on a terminal as soon as it ended, in a log at the end of the night."""
    return f"{row['job']:<22}{row['status']:<10}{row['seconds']:>8.1f}  {row['why']}"


def assert_published(lake: Lake, choice: Choice) -> None:
    """Checks that the newest night was not held back, if the nightly got as far as judging it.

    Raises:
        HeldBackError: it was.
    """
    nights = lake.published.nights()
    if nights and nights[-1].is_held_back and "publish_views" in [job.name for job in choice.jobs]:
        night, current = nights[-1], lake.published.current()
        seen = "no night" if current is None else f"night {current.run_id}"
        raise HeldBackError(
            f"night {night.run_id} is {night.verdict}. Readers see {seen}; publish {night.run_id} shows this one all"
            " the same"
        )


def command(lake: Lake, options: argparse.Namespace) -> dict[str, Any]:
    """Runs the chosen jobs, and prints the closing table; with ``--dry-run``, prints what they would do.

    Raises:
        UserError: an option names no job of the nightly, or another nightly is at work on the warehouse.
        HeldBackError: the gate held the night back.
    """
    jobs, day = nightly_jobs(lake.settings), None if options.as_of is None else day_of(options.as_of)
    choice = chosen(jobs if day is None else [job for job in jobs if job.source_files is None], options)
    lake.from_scratch = options.full_refresh
    today, run_id = lake, new_run_id()
    if day is not None:
        assert_events_before(today, day)
        lake = lake_of(today, day)
    if options.dry_run:
        print(as_text(foreseen(lake, choice)), file=sys.stderr)
        return {"job": "nightly", "status": "skipped", "run_id": run_id, "outputs": {}, "metrics": {}}
    clock = time.monotonic()
    lake.files.ensure_writable(lake.warehouse.root)
    lock = lake.lock = NightLock(lake.warehouse, run_id, lake.settings.nightly)
    with about(run_id=run_id), lock, outcome_told(lake, run_id) as outcome, ended_by_signal(lake.spark):
        rows, live = outcome.jobs, on_terminal()
        if live:
            print(HEADING, file=sys.stderr)
        if lock.dead is not None:
            remove_staged(lake, lock.dead.run_id)
        if day is not None:
            fill(lake, today, day)
        run_nightly(lake, choice, run_id, rows=rows)
        took = f"{'all':<22}{'':<10}{time.monotonic() - clock:>8.1f}  started {outcome.started_at:%Y-%m-%d %H:%M} UTC"
        table = [] if live else [HEADING, *map(line_of, rows)]
        for line in (*table, took, f"tables: {lake.warehouse.location}"):
            say(line)
        assert_published(lake, choice)
    done = [row for row in rows if row["status"] == "done"]
    return {
        "job": "nightly",
        "status": "done" if done else "skipped",
        "run_id": run_id,
        "outputs": {table: version for row in done for table, version in row["outputs"].items()},
        "metrics": {name: value for row in done for name, value in row["metrics"].items()},
    }


def source_options() -> tuple[Option, ...]:
    """Options of the jobs that read input files of the user, i.e. of ``ingest``."""
    return tuple(option for job in nightly_jobs() if job.source_files for option in job.options)


COMMAND = Command(
    name="nightly",
    description=__doc__ or "",
    run=command,
    examples=(
        "--interactions clicks.parquet --items products.parquet",
        "--dry-run",
        "--from train_ranker --set ranker.max_epochs=4",
        "--warehouse hdfs:///lake/qarm --config night.toml --master yarn --num-executors 20 --executor-memory 8g",
    ),
    options=(
        *source_options(),
        Option(
            flags=("--from",),
            help="begin with this job, whether or not it is up to date; earlier jobs do not run",
            metavar="JOB",
            more={"dest": "from_job"},
        ),
        Option(flags=("--only",), help="run this job alone, whether or not it is up to date", metavar="JOB"),
        Option(flags=("--until",), help="last job to run", metavar="JOB"),
        Option(flags=("--force",), help="run all jobs, also those that are up to date", more={"action": "store_true"}),
        Option(
            flags=("--full-refresh",),
            help="run all jobs on everything: pairs, examples and ranker take over nothing from earlier nights",
            more={"action": "store_true"},
        ),
        Option(
            flags=("--as-of",),
            help="run the night as it would have run at the beginning of this day, in a warehouse of its own",
            metavar="DATE",
        ),
        Option(
            flags=("--dry-run",),
            help="run nothing: print which jobs would run, why, on how many rows, and for how long",
            more={"action": "store_true"},
        ),
    ),
    check=check,
)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
