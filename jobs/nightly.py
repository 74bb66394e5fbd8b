"""Runs all stale jobs, in order."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import jobs
from lake.command import Command, main
from lake.declaration import Job, Option, in_order
from lake.execution import new_run_id, run_job
from lake.run import Lake
from lake.staleness import why_stale
from schemas.errors import UserError
from schemas.settings import Settings

log = logging.getLogger("qarm")


def declared_jobs() -> list[Job]:
    """The jobs that files of this folder declare, sorted so that each comes after the jobs whose results it reads."""
    modules = (import_module(f"jobs.{found.name}") for found in iter_modules(jobs.__path__) if not found.ispkg)
    return in_order(job for module in modules if isinstance(job := getattr(module, "JOB", None), Job))


def nightly_jobs() -> list[Job]:
    """The jobs that the nightly runs, in order."""
    return [job for job in declared_jobs() if job.nightly]


def check(settings: Settings) -> None:
    """Checks the settings for all jobs before the first job starts.

    Raises:
        UserError: a job cannot run with the settings.
    """
    for job in nightly_jobs():
        job.check(settings)


def run_nightly(lake: Lake, chosen: Sequence[Job], run_id: str, force: bool) -> list[dict[str, Any]]:
    """Runs the stale jobs.

    Args:
        lake: Spark and the warehouse.
        chosen: the jobs, in order.
        run_id: id of the run, the same for all jobs.
        force: whether to run also jobs that are up to date.

    Returns:
        One row per job: job, status, seconds, why, outputs, metrics.
    """
    last = lake.ledger.last_done()
    rows: list[dict[str, Any]] = []
    for number, job in enumerate(chosen, 1):
        names_no_files = job.source_files is not None and not job.source_files(lake.settings)
        nothing_to_take = names_no_files and job.name in last
        stale = "--force" if force else why_stale(lake, job, last.get(job.name))
        why = None if nothing_to_take else stale
        if why is None:
            log.info("[%d/%d] %s: up to date", number, len(chosen), job.name)
            rows.append(
                {
                    "job": job.name,
                    "status": "skipped",
                    "seconds": 0.0,
                    "why": "up to date",
                    "outputs": {},
                    "metrics": {},
                }
            )
            continue
        log.info("[%d/%d] %s: %s", number, len(chosen), job.name, why)
        record = run_job(lake, job, run_id)
        rows.append(
            {
                "job": job.name,
                "status": record.status,
                "seconds": record.seconds,
                "why": why,
                "outputs": dict(record.output_versions),
                "metrics": dict(record.metrics),
            }
        )
    return rows


def summary(rows: list[dict[str, Any]]) -> str:
    """The closing table as text."""
    lines = [f"{'job':<22}{'status':<10}{'seconds':>8}  why"]
    lines += [f"{row['job']:<22}{row['status']:<10}{row['seconds']:>8.1f}  {row['why']}" for row in rows]
    return "\n".join(lines)


def command(lake: Lake, options: argparse.Namespace) -> dict[str, Any]:
    """Runs the nightly up to the job of ``--until``, and prints the closing table.

    Raises:
        UserError: ``--until`` names no job of the nightly.
    """
    chosen = nightly_jobs()
    names = [job.name for job in chosen]
    if options.until and options.until not in names:
        raise UserError(f"--until {options.until}: no such job; the jobs are {', '.join(names)}")
    chosen = chosen[: names.index(options.until) + 1] if options.until else chosen
    started, clock = datetime.now(UTC), time.monotonic()
    lake.files.ensure_writable(lake.warehouse.root)
    run_id = new_run_id()
    rows = run_nightly(lake, chosen, run_id, options.force)
    print(summary(rows), file=sys.stderr)
    print(f"{'all':<22}{'':<10}{time.monotonic() - clock:>8.1f}  started {started:%Y-%m-%d %H:%M} UTC", file=sys.stderr)
    print(f"tables: {lake.warehouse.location}", file=sys.stderr)
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
    options=(
        *source_options(),
        Option(flags=("--until",), help="last job to run", metavar="JOB"),
        Option(flags=("--force",), help="run all jobs, also those that are up to date", more={"action": "store_true"}),
    ),
    check=check,
)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
