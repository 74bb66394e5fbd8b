"""What the user has set before the look: it goes into the file as it is, and before any guess."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jobs.start.choices import Choice
from schemas.sections import Section
from schemas.settings import Settings, load_settings

FROM_FILES = ("ingest.interactions", "ingest.items", "ingest.rename")
"""Settings that the look at the files completes: full paths, and every column with a meaning."""


def said_choices(settings: Settings) -> list[Choice]:
    """The settings that differ from the defaults.

    Args:
        settings: all settings.
    """
    defaults = dict(_flat(load_settings(), ""))
    return [
        Choice(name, value, "as you said")
        for name, value in _flat(settings, "")
        if value != defaults[name] and name not in FROM_FILES
    ]


def unless_said(guessed: Iterable[Choice], said: Sequence[Choice]) -> list[Choice]:
    """Guessed settings without those that the user has set, and these.

    Args:
        guessed: the guesses.
        said: see :func:`said_choices`.
    """
    names = {choice.setting for choice in said}
    return [*(choice for choice in guessed if choice.setting not in names), *said]


def _flat(section: Section, before: str) -> Iterator[tuple[str, Any]]:
    values: Mapping[str, Any] = section.model_dump(mode="json")
    for name in type(section).model_fields:
        inner = getattr(section, name)
        if isinstance(inner, Section):
            yield from _flat(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}", values[name]
