"""mkdocs calls this: links to files of the repository outside docs/ become their paths, and must lead to a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replaces such links, as the site holds the documents alone.

    Raises:
        FileNotFoundError: one leads to no file.
    """

    def path_of(match: re.Match[str]) -> str:
        text, path = match.groups()
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"{page.file.src_path}: ../{path} is no file of the repository")
        return f"`{path}`" if text.strip("`") == path else f"{text} (`{path}`)"

    return OUTSIDE.sub(path_of, markdown)
