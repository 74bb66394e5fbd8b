"""Tells a full disk from other failures, in one line that says which disk is meant."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lake.lake import Lake
from schemas.errors import FullDiskError

SIGNS = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "DSQuotaExceededException")
"""What the operating system says, in Python, Java and Rust alike, and HDFS."""
MEGABYTE = 1_000_000


@contextmanager
def full_disk_told(lake: Lake) -> Iterator[None]:
    """Turns a failure that comes of a full disk into one line, which says more than its trace.

    Args:
        lake: Spark and the warehouse.

    Raises:
        FullDiskError: instead of an error that is, or was led to by, a disk without space.
    """
    try:
        yield
    except Exception as error:
        if is_full_disk(error) and not isinstance(error, FullDiskError):
            raise FullDiskError(_text(lake)) from error
        raise


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is that of a disk without space."""
    while error is not None:
        if any(sign in str(error) for sign in SIGNS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _text(lake: Lake) -> str:
    folders = {
        "the warehouse's disk": lake.files.local_path(lake.warehouse.root),
        "the disk of temporary files": Path(lake.spark.conf.get("spark.local.dir", None) or tempfile.gettempdir()),
    }
    free = [
        f"{shutil.disk_usage(folder).free // MEGABYTE:,} MB on {name} ({folder})"
        for name, folder in folders.items()
        if folder is not None and folder.is_dir()
    ]
    return f"a disk is full; free are {', '.join(free)}. Make room and start again: the next start goes on"
