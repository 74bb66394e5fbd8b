"""Writes chosen settings as a TOML file in which every line has its reason."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from jobs.start.choices import Choice
from lake.declaration import toml_text

WIDTH = 118

PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def toml_value(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {toml_value(inner)}' for key, inner in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(inner) for inner in value)}]"
    return toml_text(value) if isinstance(value, str) else json.dumps(value)


def _key(key: str) -> str:
    return key if key and set(key) <= PLAIN else toml_text(key)


def night_toml(choices: Sequence[Choice], told: Iterable[str]) -> str:
    """The text of the file.

    Args:
        choices: the settings, each with its reason; those of a section need not stand together.
        told: lines at its beginning.
    """
    lines = [line for text in told for line in _comment(text)]
    for section in dict.fromkeys(choice.setting.rpartition(".")[0] for choice in choices):
        lines += ["", f"[{section}]"]
        for choice in choices:
            where, _, key = choice.setting.rpartition(".")
            if where == section:
                lines += [*_comment(choice.why), f"{key} = {toml_value(choice.value)}"]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH)]
