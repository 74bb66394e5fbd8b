"""Runs a job and records how it ended."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from lake.declaration import Job
from lake.ledger import RunRecord
from lake.run import Lake, Run
from lake.staleness import source_versions
from schemas.version import VERSION


def new_run_id() -> str:
    """A run ID that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def run_job(lake: Lake, job: Job, run_id: str) -> RunRecord:
    """Runs a job and records it; a failure is recorded too, unless it is the first thing in an empty warehouse.

    Raises:
        UserError: the user's mistake.
        Exception: whatever failed.
    """
    run = Run(lake, job, run_id)
    try:
        job.check(lake.settings)
        lake.files.ensure_writable(lake.warehouse.root)
        run.inputs |= source_versions(lake, job)
        job.steps(run)
    except Exception as error:
        if lake.warehouse.exists("runs"):
            lake.ledger.record(_record(run, "failed", str(error)[:2000]), [])
        raise
    lake.spark.catalog.clearCache()  # what the job persisted
    record = _record(run, "done", None)
    lake.ledger.record(record, run.measurements)
    return record


def _record(run: Run, status: str, error: str | None) -> RunRecord:
    return RunRecord(
        run_id=run.run_id,
        job=run.job.name,
        status=status,
        started_at=run.started_at,
        ended_at=datetime.now(UTC),
        input_versions=run.inputs,
        output_versions=run.outputs,
        settings_hash=run.settings.digest(run.job.sections),
        code_version=VERSION,
        metrics=run.headline,
        error=error,
    )
