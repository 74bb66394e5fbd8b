"""Runs every job that is out of date, in order."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from jobs import (
    align_encoder,
    assign_semantic_ids,
    build_examples,
    embed_items,
    evaluate,
    fit_codebook,
    ingest,
    judge_pairs,
    mine_pairs,
    publish_views,
    report,
    train_ranker,
    write_questions,
)
from lake.command import ingest_options, job_parser, run_command
from lake.job import Job, Lake, new_run_id, run_job, why_stale
from schemas.errors import UserError

log = logging.getLogger("qarm")

JOBS: tuple[Job, ...] = (
    ingest.JOB,
    mine_pairs.JOB,
    judge_pairs.JOB,
    write_questions.JOB,
    align_encoder.JOB,
    embed_items.JOB,
    fit_codebook.JOB,
    assign_semantic_ids.JOB,
    build_examples.JOB,
    train_ranker.JOB,
    evaluate.JOB,
    publish_views.JOB,
    report.JOB,
)


def run_nightly(lake: Lake, jobs: tuple[Job, ...], run_id: str, force: bool) -> list[dict[str, Any]]:
    """Runs the jobs that are out of date.

    Args:
        lake: Spark and the warehouse.
        jobs: in order.
        run_id: of all of them.
        force: run every job.

    Returns:
        One row per job: job, status, seconds, why, outputs, metrics.
    """
    last = lake.ledger.last_done()
    rows: list[dict[str, Any]] = []
    for number, job in enumerate(jobs, 1):
        nothing_to_take = job is ingest.JOB and not job.source_files(lake.settings) and job.name in last
        stale = "--force" if force else why_stale(lake, job, last.get(job.name))
        why = None if nothing_to_take else stale
        if why is None:
            log.info("[%d/%d] %s: up to date", number, len(jobs), job.name)
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
        log.info("[%d/%d] %s: %s", number, len(jobs), job.name, why)
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
    """The closing table."""
    lines = [f"{'job':<22}{'status':<10}{'seconds':>8}  why"]
    lines += [f"{row['job']:<22}{row['status']:<10}{row['seconds']:>8.1f}  {row['why']}" for row in rows]
    return "\n".join(lines)


def command(lake: Lake, options: argparse.Namespace) -> dict[str, Any]:
    """Runs the nightly up to ``--until`` and prints the closing table."""
    names = [job.name for job in JOBS]
    if options.until and options.until not in names:
        raise UserError(f"--until {options.until}: the jobs are {', '.join(names)}")
    jobs = JOBS[: names.index(options.until) + 1] if options.until else JOBS
    started, clock = datetime.now(UTC), time.monotonic()
    lake.files.ensure_writable(lake.warehouse.root)
    run_id = new_run_id()
    rows = run_nightly(lake, jobs, run_id, options.force)
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


def options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds nightly's own options."""
    ingest_options(parser)
    parser.add_argument("--until", metavar="JOB", help="end after this job")
    parser.add_argument("--force", action="store_true", help="run every job, up to date or not")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the nightly from the command line and gives its exit code."""
    return run_command(options(job_parser("nightly", __doc__ or "")), command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
