from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from lake.full_disk import full_disk_told
from lake.run import Lake
from schemas.errors import FullDiskError, UserError


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
