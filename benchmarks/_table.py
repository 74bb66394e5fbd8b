"""Writes a benchmark's table into docs/benchmarks.md, with the machine, the versions and the commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PACKAGES = ("pyspark", "torch", "transformers", "faiss-cpu", "numpy")


def write_table(title: str, command: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, note: str) -> None:
    """Replaces or appends one section of the page, and prints it.

    Args:
        title: title of the section.
        command: command that repeats the benchmark.
        header: names of the columns.
        rows: cells as text, one sequence per row.
        note: explanation of the measurement.
    """
    revision = ["git", "-C", str(PAGE.parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(revision, capture_output=True, text=True, check=False)
    versions = ", ".join(filter(None, map(_version, PACKAGES)))
    lines = [
        f"## {title}",
        "",
        note,
        "",
        f"`{command}`; {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions};"
        f" commit {commit.stdout.strip() or 'unknown'}",
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    section = "\n".join(lines)
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# Benchmarks\n\nWritten by `make bench`.\n\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", flags=re.DOTALL | re.MULTILINE)
    page = pattern.sub(lambda _: section + "\n\n", page) if pattern.search(page) else f"{page.rstrip()}\n\n{section}"
    PAGE.write_text(page.rstrip() + "\n", encoding="utf-8")
    print(section)


def _version(package: str) -> str:
    """Name and version of a package; empty if it is not installed, as Spark need not be for every benchmark."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""
