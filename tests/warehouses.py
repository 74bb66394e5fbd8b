"""Copies of warehouses that several tests begin with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lake.lake import Lake

LARGE = 1 << 20
"""Bytes; of a warehouse of the tests, the weights of real language models are larger."""


def copy_folder(source: Path | str, target: Path) -> None:
    """Copies a warehouse; large files, which no job changes in place, become links."""
    shutil.copytree(source, target, copy_function=_link_if_large)


def _link_if_large(source: str, target: str) -> object:
    return os.link(source, target) if Path(source).stat().st_size > LARGE else shutil.copy2(source, target)


def copy_of(lake: Lake, folder: Path) -> Lake:
    """The same warehouse in another folder, to write to."""
    copy_folder(lake.location, folder)
    return Lake(lake.spark, lake.settings, str(folder))
