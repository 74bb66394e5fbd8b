"""Files that come with the code, read alike from a checkout and from the zip that executors get."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
"""The folder, or the zip, that holds the rooms."""


def beside_the_rooms(*parts: str) -> str:
    """The text of a file by its place under :data:`ROOT`.

    Args:
        parts: of its path, e.g. ``"conf", "default.toml"``.
    """
    room: Any = resources.files("schemas")
    return str(room.parent.joinpath(*parts).read_text(encoding="utf-8"))
