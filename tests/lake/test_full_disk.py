from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from lake.declaration import Job
from lake.execution import run_job
from lake.full_disk import full_disk_told
from lake.lake import Lake
from lake.run import Run
from schemas.errors import FullDiskError, UserError
from schemas.tables import RUNS


def led_to(error: Exception) -> Exception:
    """An error whose own text says nothing of a disk."""
    try:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("Job aborted due to stage failure") from cause
    except RuntimeError as found:
        return found


FULL = OSError(errno.ENOSPC, "No space left on device", "/x")


@pytest.mark.parametrize(
    "error", [FULL, led_to(FULL), RuntimeError("java.io.IOException: No space left on device\n at")]
)
def test_a_full_disk_is_told_with_what_is_free(error: Exception, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    lake.files.write_text(f"{lake.warehouse.root}/any", "")
    told = r"^a disk is full; free are [\d,]+ MB on the warehouse's disk \(/.*\), [\d,]+ MB on the disk of temporary"
    with pytest.raises(FullDiskError, match=told), full_disk_told(lake), full_disk_told(lake):
        raise error


def test_other_errors_stay(make_lake: Callable[..., Lake]) -> None:
    with pytest.raises(UserError, match="mistake"), full_disk_told(make_lake()):
        raise UserError("mistake")


def test_a_failure_that_cannot_be_recorded_is_the_one_that_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lake = run.lake
    lake.warehouse.create(RUNS)

    def fails(_: Run) -> None:
        raise ValueError("the job's own failure")

    def full(*_: object) -> None:
        raise FULL

    monkeypatch.setattr(lake.ledger, "record", full)
    with pytest.raises(ValueError, match="the job's own failure"):
        run_job(lake, Job(name="fails", steps=fails), "run-1")
    assert "fails: the failure could not be recorded: [Errno 28] No space left on device" in caplog.text
