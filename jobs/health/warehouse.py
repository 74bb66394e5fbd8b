"""Whether the warehouse can be written, and has room."""

from __future__ import annotations

from lake.health import Finding, gigabytes
from lake.lake import Lake
from lake.logs import first_line

LEAST = 5 * 2**30
"""Bytes that should be free: a night writes every table that changed anew."""


def writing(lake: Lake) -> Finding:
    """A file can be written, replaced and removed."""
    root = lake.warehouse.root
    folder = lake.files.probe_folder(root)
    try:
        for text in ("first", "second"):
            lake.files.write_text(f"{folder}/file", text)
        kept = lake.files.read_text(f"{folder}/file")
    except Exception as error:
        says = f"{root} cannot be written: {first_line(error)}"
        return Finding("warehouse", says, "give another --warehouse, or the right to write")
    finally:
        lake.files.delete(folder)
    if kept != "second":
        return Finding(
            "warehouse", f"{root} does not replace a file", "use a file system that does, see docs/cluster.md"
        )
    return Finding("warehouse", f"{root}: a file was written, replaced and removed")


def free_space(lake: Lake) -> Finding:
    """The disk of the warehouse has room for a night."""
    free = lake.files.free_bytes(lake.warehouse.root)
    mend = "" if free >= LEAST else "free some, run tidy, or give another --warehouse"
    return Finding("room", f"{gigabytes(free)} are free in the warehouse's file system", mend, may_stay=free > 2**30)
