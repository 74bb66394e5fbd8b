"""Tells how a night ended: in files of the warehouse, as Prometheus reads them too, and to a webhook."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from tenacity import RetryError, retry, stop_after_attempt, wait_exponential

from lake.lake import Lake
from lake.logs import first_line
from lake.termination import TerminatedError
from schemas.errors import HeldBackError, QarmError, UserError

log = logging.getLogger("qarm")

FILE, PROMETHEUS_FILE = "outcome.json", "outcome.prom"
WEBHOOK = "QARM_WEBHOOK"
"""Environment variable with the URL that is told. A URL of a webhook is a secret, so it is no setting."""
SECONDS = 10.0


@dataclass
class Outcome:
    """How a night ended.

    Attributes:
        run_id: id of the night.
        started_at: when it started.
        jobs: job, status, seconds and why of every job so far.
        status: ``done``, ``skipped``, ``held back``, ``refused`` for a mistake of the user, or ``failed``.
        exit_code: exit code of the nightly.
        why: the reason in one line, unless the night is done.
    """

    run_id: str
    started_at: datetime
    jobs: list[dict[str, Any]] = field(default_factory=list)
    status: str = "done"
    exit_code: int = 0
    why: str | None = None

    def as_json(self, warehouse: str, published: str | None) -> dict[str, Any]:
        """The outcome as JSON.

        Args:
            warehouse: the warehouse.
            published: id of the night that readers see; None if there is none.
        """
        ended = datetime.now(UTC)
        return {
            "run_id": self.run_id,
            "warehouse": warehouse,
            "status": self.status,
            "exit_code": self.exit_code,
            "why": self.why,
            "started_at": self.started_at.isoformat(),
            "ended_at": ended.isoformat(),
            "seconds": round((ended - self.started_at).total_seconds(), 1),
            "published": published,
            "jobs": [{name: job[name] for name in ("job", "status", "seconds", "why")} for job in self.jobs],
        }


@contextmanager
def outcome_told(lake: Lake, run_id: str) -> Iterator[Outcome]:
    """Tells the outcome of the night at its end, however it ends; what goes wrong with that is only logged."""
    outcome = Outcome(run_id, datetime.now(UTC))
    try:
        yield outcome
        if not any(job["status"] == "done" for job in outcome.jobs):
            outcome.status = "skipped"
    except BaseException as error:
        kinds = {HeldBackError: "held back", UserError: "refused"}
        outcome.status = next((status for kind, status in kinds.items() if isinstance(error, kind)), "failed")
        outcome.exit_code = error.exit_code if isinstance(error, QarmError | TerminatedError) else 1
        outcome.why = " ".join(str(error).split())[:500] or type(error).__name__
        raise
    finally:
        _tell(lake, outcome)


def _tell(lake: Lake, outcome: Outcome) -> None:
    """Tells the files and the webhook, each whatever became of the other: the disk may be full, or Spark gone."""
    published = None
    try:
        current = lake.published.current()
        published = None if current is None else current.run_id
    except Exception as error:
        log.warning("nightly: which night readers see could not be read: %s", first_line(error))
    told = outcome.as_json(lake.location, published)
    try:
        lake.files.write_text(f"{lake.warehouse.root}/{FILE}", json.dumps(told, indent=1))
        lake.files.write_text(f"{lake.warehouse.root}/{PROMETHEUS_FILE}", prometheus_text(told))
    except Exception as error:
        log.warning("nightly: the outcome could not be written: %s", first_line(error))
    if url := os.environ.get(WEBHOOK):
        try:
            _post(url, told)
        except RetryError as error:
            reason = error.last_attempt.exception()
            # The message of an HTTP error holds the URL, which is a secret.
            log.warning("nightly: the webhook of %s was not reached: %s", WEBHOOK, type(reason).__name__)


@retry(stop=stop_after_attempt(3), wait=wait_exponential(multiplier=0.5, max=5))
def _post(url: str, told: dict[str, Any]) -> None:
    httpx2.post(url, json=told, timeout=SECONDS).raise_for_status()


def prometheus_text(told: dict[str, Any]) -> str:
    """The outcome in the text format of Prometheus, for node exporter's textfile collector.

    Args:
        told: result of :meth:`Outcome.as_json`.
    """
    numbers = CollectorRegistry()
    labels = {"warehouse": told["warehouse"]}
    for name, help_text, value in (
        ("qarm_night_exit_code", "Exit code of the last nightly", told["exit_code"]),
        ("qarm_night_seconds", "Duration of the last nightly", told["seconds"]),
        ("qarm_night_ended_timestamp_seconds", "When the last nightly ended",
         datetime.fromisoformat(told["ended_at"]).timestamp()),
    ):  # fmt: skip
        Gauge(name, help_text, [*labels], registry=numbers).labels(**labels).set(value)
    of_jobs = Gauge("qarm_job_seconds", "Duration of a job in the last nightly", [*labels, "job"], registry=numbers)
    for job in told["jobs"]:
        of_jobs.labels(**labels, job=job["job"]).set(job["seconds"])
    return generate_latest(numbers).decode()
