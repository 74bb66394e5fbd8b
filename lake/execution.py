"""Runs a job and records the run."""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, datetime

from lake.declaration import Job
from lake.full_disk import full_disk_told
from lake.lake import Lake
from lake.ledger import RunRecord
from lake.logs import about, first_line
from lake.progress import at_work
from lake.run import Run
from lake.staleness import source_versions, unread_inputs
from lake.tracking import assert_trackable, track
from schemas.version import VERSION

log = logging.getLogger("qarm")


def new_run_id() -> str:
    """A run ID that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def run_job(lake: Lake, job: Job, run_id: str, *, place: str = "", usual: float | None = None) -> RunRecord:
    """Runs a job and records the run. A failure is recorded too, unless the warehouse has no table ``runs`` yet.

    Args:
        lake: Spark and the warehouse.
        job: the job.
        run_id: id of the run.
        place: the job's place among others, e.g. ``[2/13]``, for the line that tells how far it is.
        usual: seconds that the job usually takes; None if that is not known.

    Raises:
        UserError: a mistake of the user.
        QarmError: another nightly took this one for dead meanwhile.
        Exception: any other failure of the job.
    """
    run = Run(lake, job, run_id)
    try:
        assert_trackable(lake.settings.tracking)
        job.check(lake.settings)
        lake.files.ensure_writable(lake.warehouse.root)
        run.inputs |= source_versions(lake, job)
        told = at_work(lake.spark, f"{place} {job.name}".strip(), usual)
        with about(run_id=run_id, job=job.name), full_disk_told(lake), told:
            job.steps(run)
            run.inputs |= unread_inputs(run)
            lake.assert_held()
    except Exception as error:
        _record_failure(run, error)
        raise
    lake.spark.catalog.clearCache()  # frees the frames that the job persisted
    record = _record(run, "done", None)
    lake.ledger.record(record, run.measurements)
    track(lake.settings, record, job.sections, run.curves)
    return record


def _record_failure(run: Run, error: Exception) -> None:
    try:
        if run.lake.warehouse.exists("runs"):
            run.lake.ledger.record(_record(run, "failed", str(error)[:2000]), [])
    except Exception as another:  # e.g. the disk is full: the first failure is the one to tell
        log.warning("%s: the failure could not be recorded: %s", run.job.name, first_line(another))


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
