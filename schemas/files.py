"""Reads files that belong to the code, from a checkout or from the zip that Spark sends to the executors."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
"""The folder or zip that holds the packages jobs, udfs, lake, models and schemas."""


def packaged_text(*parts: str) -> str:
    """The text of a file under :data:`ROOT`.

    Args:
        parts: parts of the file's path, e.g. ``"conf", "default.toml"``.
    """
    room: Any = resources.files("schemas")
    return str(room.parent.joinpath(*parts).read_text(encoding="utf-8"))
