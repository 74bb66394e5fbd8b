"""Folders whose modules have our names, or Python's own, and must never be imported."""

from __future__ import annotations

from pathlib import Path

from lake.submit import ROOMS

PACKAGES = (*ROOMS, "delta", "conf")
MODULES = ("secrets", "queue", "numbers")


def strange_folder(folder: Path, packages: tuple[str, ...] = PACKAGES, modules: tuple[str, ...] = MODULES) -> Path:
    """Makes a folder whose modules end the process that imports them."""
    for name in packages:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise SystemExit('the stranger {name} was imported')\n")
    for name in modules:
        (folder / f"{name}.py").write_text(f"raise SystemExit('the stranger {name} was imported')\n")
    return folder
