"""The documents, and the blocks of code in them."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.files import ROOT

PAGES = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md")


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code in a language; "" for those that name none."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


def commands(page: Path) -> list[str]:
    """The command lines of ``spark-submit.sh`` in a page's blocks and in its text, each in one line."""
    text = page.read_text(encoding="utf-8")
    shell = [line for name in ("", "sh", "bash") for block in blocks(page, name) for line in _lines(block)]
    inline = re.findall(r"`(\./spark-submit\.sh [^`\n]+)`", text)
    return [line for line in (*shell, *inline) if re.match(r"(\.|\$QARM)/spark-submit\.sh ", line)]


def _lines(block: str) -> list[str]:
    return [line.strip() for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
