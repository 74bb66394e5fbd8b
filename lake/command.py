"""The command line of a job or command: its declared options, exit codes, the closing line of JSON."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from lake.declaration import Job, Option
from lake.execution import new_run_id, run_job
from lake.run import Lake
from lake.session import start_session
from schemas.errors import UserError
from schemas.settings import Settings, load_settings

log = logging.getLogger("qarm")

ASSIGNMENTS = "set"
"""Where argparse keeps ``section.key=value``, of ``--set`` and of the options that stand for a setting."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What can be run by name, and is no single job.

    Attributes:
        name: the verb.
        description: for ``--help``.
        run: does the work; gives the fields of the closing line of JSON, or None for no such line.
        options: of its command line, beside those of every job.
        check: refuses settings before anything starts; raises UserError.
    """

    name: str
    description: str
    run: Callable[[Lake, argparse.Namespace], dict[str, Any] | None]
    options: tuple[Option, ...] = ()
    check: Callable[[Settings], None] = lambda _: None


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong, and exits with 2."""
        self.exit(2, f"{self.prog}: {message}; --help lists the options\n")


EVERY = (
    Option(
        flags=("--warehouse",),
        help="folder or catalog.schema of the tables",
        metavar="URL",
        more={"default": "./warehouse"},
    ),
    Option(
        flags=("--config",),
        help="settings; later wins",
        metavar="FILE.toml",
        more={"action": "append", "default": []},
    ),
    Option(
        flags=("--set",),
        help="one setting; later wins",
        metavar="section.key=value",
        more={"action": "append", "default": []},
    ),
)
"""Options that every job and command takes."""


def parser_of(name: str, description: str, options: Iterable[Option]) -> argparse.ArgumentParser:
    """A parser of declared options."""
    parser = OneLineParser(prog=name, description=description, allow_abbrev=False)
    for option in (*EVERY, *options):
        arguments: dict[str, Any] = {"help": option.help, **option.more}
        if option.metavar is not None:
            arguments["metavar"] = option.metavar
        if option.setting is not None:
            arguments |= {"dest": ASSIGNMENTS, "action": _Assign, "option": option}
        parser.add_argument(*option.flags, **arguments)
    return parser


class _Assign(argparse.Action):
    """Turns an option that stands for a setting into ``section.key=value``."""

    def __init__(self, *, option: Option, **arguments: Any) -> None:
        super().__init__(nargs=None if option.assigns is None else 0, **arguments)
        self._option = option

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        own = self._option
        try:
            value = own.to_toml(str(values)) if own.assigns is None else own.assigns
        except UserError as error:
            parser.exit(2, f"{parser.prog}: {error}\n")
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), f"{own.setting}={value}"])


def command_of(job: Job) -> Command:
    """The command that runs one job."""

    def run(lake: Lake, _: argparse.Namespace) -> dict[str, Any]:
        record = run_job(lake, job, new_run_id())
        return {
            "job": job.name,
            "status": record.status,
            "run_id": record.run_id,
            "outputs": record.output_versions,
            "metrics": record.metrics,
        }

    description = sys.modules[job.steps.__module__].__doc__ or ""
    return Command(name=job.name, description=description, run=run, options=job.options, check=job.check)


def main(entry: Job | Command, arguments: Sequence[str] | None = None) -> int:
    """Parses options, loads settings, starts Spark, runs, and prints the closing line of JSON.

    Args:
        entry: the job or command.
        arguments: the command line; None for the process's own.

    Returns:
        The exit code: 0 done, 1 a failure of ours, 2 a mistake of the user's.
    """
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    log.setLevel(logging.INFO)
    command = command_of(entry) if isinstance(entry, Job) else entry
    parsed = parser_of(command.name, command.description, command.options).parse_args(arguments)
    try:
        settings = load_settings(parsed.config, parsed.set)
        command.check(settings)
        lake = Lake(start_session(f"qarm {command.name}", settings.spark), settings, parsed.warehouse)
        closing = command.run(lake, parsed)
    except UserError as error:
        print(f"{command.name}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Exception:
        log.exception("%s failed", command.name)
        return 1
    if closing is not None:
        sys.stderr.flush()
        print(json.dumps(closing), flush=True)
    return 0
