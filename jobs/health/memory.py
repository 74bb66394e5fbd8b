"""Whether the driver's memory fits this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lake.health import Finding, gigabytes
from lake.lake import Lake

CGROUP = Path("/sys/fs/cgroup/memory.max")
"""Limit of a container; "max" or no file if there is none."""

UNITS = {"": 2**20, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}

BESIDE = 3 * 2**30
"""Bytes that Python takes beside the JVM of a small night: torch, a language model, two workers."""


def bytes_of(text: str) -> int:
    """A size as Spark writes it, e.g. ``2g``, in bytes; without a unit it is megabytes."""
    found = re.fullmatch(r"(\d+)\s*([kmgt]?)b?", text.strip().lower())
    return int(found.group(1)) * UNITS[found.group(2)] if found else 0


def available() -> int:
    """Bytes of memory of this machine, or of the container that this process runs in."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = CGROUP.read_text(encoding="utf-8").strip() if CGROUP.is_file() else "max"
    return min(whole, int(limit)) if limit.isdigit() else whole


def driver_memory(lake: Lake) -> Finding:
    """The JVM's heap and Python beside it fit into the memory there is."""
    heap = bytes_of(lake.spark.sparkContext.getConf().get("spark.driver.memory") or "1g")
    there = available()
    says = f"{gigabytes(there)} in all, of which the driver's JVM takes up to {gigabytes(heap)}"
    if heap + BESIDE <= there:
        return Finding("memory", says)
    if heap < there:
        return Finding("memory", f"{says}; models and workers need about {gigabytes(BESIDE)} beside it",
                       "give a smaller --driver-memory, or more memory", may_stay=True)  # fmt: skip
    return Finding("memory", says, "give a smaller --driver-memory")
