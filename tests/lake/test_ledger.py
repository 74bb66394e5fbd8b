"""The record of runs: what the jobs of a night know of each other's last runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lake.lake import Lake
from lake.ledger import Ledger, Measurement, RunRecord

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


def ended(job: str, minute: int, status: str = "done") -> RunRecord:
    versions = {"interactions": str(minute)}
    at = NOON + timedelta(minutes=minute)
    return RunRecord(f"run-{minute}", job, status, at, at, versions, {}, "hash", "0.7", {"rows": float(minute)})


def told(runs: Mapping[str, RunRecord]) -> dict[str, tuple[Any, ...]]:
    """What jobs ask of a run; Spark gives times back in the host's zone."""
    return {
        job: (run.run_id, run.ended_at.astimezone(UTC), dict(run.input_versions), dict(run.metrics))
        for job, run in runs.items()
    }


def test_the_last_runs_are_read_once_and_kept_up_to_date(
    make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, read = make_lake(), []
    newest_done = Ledger._newest_done
    monkeypatch.setattr(Ledger, "_newest_done", lambda self: read.append(self) or newest_done(self))
    ledger = lake.ledger
    assert ledger.last_done() == {}
    ledger.record(ended("ingest", 1), [Measurement("rows", "all", 1.0)])
    assert [*ledger.last_done()] == ["ingest"]
    ledger.record(ended("embed_items", 2), [])
    ledger.record(ended("ingest", 3), [])
    ledger.record(ended("ingest", 4, "failed"), [])
    assert told(ledger.last_done()) == told(Ledger(lake.warehouse).last_done())
    assert ledger.last_done()["ingest"].run_id == "run-3"
    assert read.count(ledger) == 1


def test_runs_that_others_record_are_known_too(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    ours, theirs = Ledger(lake.warehouse), Ledger(lake.warehouse)
    ours.record(ended("ingest", 1), [])
    assert [*ours.last_done()] == ["ingest"]
    theirs.record(ended("embed_items", 2), [])
    ours.record(ended("ingest", 3), [])
    assert told(ours.last_done()) == told(Ledger(lake.warehouse).last_done())
    assert ours.last_done()["embed_items"].run_id == "run-2"
