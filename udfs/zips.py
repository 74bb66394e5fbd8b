"""Zip files on the path of Python workers: their directories are read once, not before every task.

Before every task Spark calls ``importlib.invalidate_caches``, and Python 3.11 then reads the directory of each zip file
again: of Spark's core jar, and of pyspark.zip once for each of its packages that a worker has imported. A task began
with 80 ms of that, measured with two packages imported.
"""

from __future__ import annotations

import os
from typing import Any
from zipimport import zipimporter

_read_again: Any = zipimporter.invalidate_caches
_seen: dict[tuple[str, str], tuple[int, int]] = {}


def _read_if_changed(importer: zipimporter) -> None:
    """Reads the directory of an importer's zip file if the file is another one than at the last call."""
    place = (importer.archive, importer.prefix)
    try:
        status = os.stat(importer.archive)
        now = (status.st_mtime_ns, status.st_size)
    except OSError:
        now = (0, 0)
    if _seen.get(place) != now:
        _read_again(importer)
        _seen[place] = now


def read_directories_once() -> None:
    """Makes :func:`importlib.invalidate_caches` leave zip files alone that did not change."""
    zipimporter.invalidate_caches = _read_if_changed  # type: ignore[assignment, method-assign]
