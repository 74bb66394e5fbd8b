"""Writes docs/settings.md from conf/default.toml:  python -m schemas.settings_page > docs/settings.md."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field

from schemas.files import packaged_text

SECTION = re.compile(r"\[([\w.]+)\]\s*(?:#\s*(.*))?")

SETTING = re.compile(r"(\w+) = (.*)")

FURTHER = re.compile(r"\s+#\s*(.*)")


@dataclass
class Described:
    """A section or a setting with its comment.

    Attributes:
        name: its name.
        value: the default as TOML; "" for a section.
        comment: what it means.
        settings: of a section, its settings.
    """

    name: str
    value: str = ""
    comment: str = ""
    settings: list[Described] = field(default_factory=list)


def described(text: str) -> list[Described]:
    """The sections of a file of settings, each with its settings and the comments behind them.

    A comment goes on in the lines that hold nothing else.

    Args:
        text: the file.

    Raises:
        ValueError: a line is of no kind that is known.
    """
    sections: list[Described] = []
    last: Described | None = None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if found := SECTION.fullmatch(line):
            last = Described(found.group(1), comment=found.group(2) or "")
            sections.append(last)
        elif found := SETTING.fullmatch(line):
            value, comment = _split(found.group(2))
            last = Described(found.group(1), value, comment)
            sections[-1].settings.append(last)
        elif (found := FURTHER.fullmatch(line)) and last is not None:
            last.comment = f"{last.comment} {found.group(1)}"
        else:
            raise ValueError(f"conf/default.toml: {line!r} is neither a section, a setting nor a comment")
    return sections


def _split(text: str) -> tuple[str, str]:
    """The value and the comment of a line; a ``#`` may also stand in a value."""
    for place in [match.start() for match in re.finditer("#", text)] + [len(text)]:
        value = text[:place].rstrip()
        try:
            tomllib.loads(f"value = {value}")
        except tomllib.TOMLDecodeError:
            continue
        return value, text[place + 1 :].strip()
    raise ValueError(f"conf/default.toml: {text!r} is no value")


def settings_page() -> str:
    """The text of docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Written from `conf/default.toml` by `python -m schemas.settings_page > docs/settings.md`.",
        "",
        "Change a setting with `--config FILE.toml` or `--set section.key=value`. Both can be given several times;",
        "what comes later wins. A name that is not here is refused.",
    ]
    for section in described(packaged_text("conf", "default.toml")):
        lines += ["", f"## {section.name}", ""]
        if section.comment:
            lines += [_sentence(section.comment), ""]
        lines += ["| setting | default | meaning |", "|---|---|---|"]
        lines += [f"| `{one.name}` | {_code(one.value)} | {_cell(one.comment)} |" for one in section.settings]
    return "\n".join(lines) + "\n"


def _sentence(comment: str) -> str:
    return f"{comment[0].upper()}{comment[1:]}{'' if comment.endswith('.') else '.'}"


def _code(value: str) -> str:
    mark = "``" if "`" in value else "`"
    return f"{mark}{_cell(value)}{mark}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if text else ""


if __name__ == "__main__":
    print(settings_page(), end="")
