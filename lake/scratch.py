"""Temporary folders on the driver's disk, which the next process removes if the one that made them was killed."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from schemas.private_folder import private_folder

LOCK = ".lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder for temporary files, removed at the end; first, those of killed processes are removed.

    Each folder has a lock file. The operating system gives a lock back when its process ends, however it ends, so a
    folder whose lock is free belongs to nobody.
    """
    base = private_folder("scratch")
    folder = base / secrets.token_hex(8)
    own = FileLock(folder.with_suffix(LOCK))
    with _door(base):
        _remove_ownerless(base)
        own.acquire()
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with _door(base):
            own.release()
            Path(own.lock_file).unlink(missing_ok=True)


def _door(base: Path) -> FileLock:
    """Nobody makes a lock file while another one looks which are free."""
    return FileLock(base / "door")


def _remove_ownerless(base: Path) -> None:
    for file in base.glob(f"*{LOCK}"):
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        shutil.rmtree(file.with_suffix(""), ignore_errors=True)
        lock.release()
        file.unlink(missing_ok=True)
