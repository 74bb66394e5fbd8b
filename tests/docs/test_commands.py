"""Every command line of the documents is one that the real parsers take, with settings that there are."""

from __future__ import annotations

import shlex
from importlib import import_module
from pathlib import Path

import pytest

from lake.command import command_of, parser_of
from lake.declaration import Job
from lake.submit import entry_of, split_options
from schemas.settings import load_settings
from tests.docs.pages import PAGES, commands

LINES = [
    pytest.param(page, line, id=f"{page.name}-{number}")
    for page in PAGES
    for number, line in enumerate(commands(page))
    if "JOB" not in line
]


def test_the_documents_have_commands() -> None:
    assert len(LINES) > 25
    assert {"README.md", "getting-started.md", "nights.md"} <= {str(param.values[0].name) for param in LINES}  # type: ignore[attr-defined]


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_command_of_the_documents_is_understood(page: Path, line: str) -> None:
    name, *arguments = [word for word in shlex.split(line, comments=True)[1:] if word not in ("...", "…")]
    module = import_module(f"jobs.{entry_of(name).stem}")
    entry = getattr(module, "JOB", None) or module.COMMAND
    command = command_of(entry) if isinstance(entry, Job) else entry
    _, own = split_options(arguments)
    parser = parser_of(command)
    if "--help" not in own:
        load_settings((), parser.parse_args(own).set)
