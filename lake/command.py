"""The command line of jobs and commands: options, exit codes, and the closing line of JSON."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pyspark.sql import SparkSession

from lake.declaration import EXAMPLES, Job, Option
from lake.execution import new_run_id, run_job
from lake.full_disk import full_disk_told
from lake.lake import Lake
from lake.logs import FORMATS, about, fields_of, on_terminal, say, set_up
from lake.progress import clock
from lake.session import start_session
from lake.termination import TerminatedError
from schemas.errors import FullDiskError, HeldBackError, UserError
from schemas.sections import SparkSettings
from schemas.settings import Settings, load_settings

log = logging.getLogger("qarm")

ASSIGNMENTS = "set"
"""Name under which argparse collects ``section.key=value`` from ``--set`` and from options that set a setting."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that is run by name and is not a job, e.g. nightly.

    Attributes:
        name: name of the command.
        description: text for ``--help``.
        run: does the work; returns the fields of the closing line of JSON, or None for no such line.
        options: options in addition to those of every job.
        examples: what ``--help`` shows as examples, each the options after the command's name.
        check: raises UserError for settings that the command cannot run with; it is called before Spark starts.
        start: starts Spark, see :func:`lake.session.start_session`.
    """

    name: str
    description: str
    run: Callable[[Lake, argparse.Namespace], dict[str, Any] | None]
    options: tuple[Option, ...] = ()
    examples: tuple[str, ...] = EXAMPLES
    check: Callable[[Settings], None] = lambda _: None
    start: Callable[[str, SparkSettings], SparkSession] = start_session


class OneLineParser(argparse.ArgumentParser):
    """A parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        """Prints the error and exits with code 2."""
        self.exit(2, f"{self.prog}: {message}; --help lists the options\n")


EVERY = (
    Option(
        flags=("--warehouse",),
        help="folder or catalog.schema that holds the tables (default ./warehouse)",
        metavar="URL",
        more={"default": "./warehouse"},
    ),
    Option(
        flags=("--config",),
        help="file with settings; repeatable, the later file wins",
        metavar="FILE.toml",
        more={"action": "append", "default": []},
    ),
    Option(
        flags=("--set",),
        help="one setting; repeatable, the later one wins",
        metavar="section.key=value",
        more={"action": "append", "default": []},
    ),
    Option(
        flags=("--log-format",),
        help="form of the log on stderr (default text)",
        more={"choices": FORMATS, "default": FORMATS[0]},
    ),
)
"""Options of every job and command."""


PROGRAM = "./spark-submit.sh"

OPTIONS_OF_SPARK = """options of spark-submit:
  --master, --deploy-mode, --num-executors, --executor-memory, --conf and the others go to Spark as they are;
  --verbose also shows what Spark says at its start"""


def parser_of(command: Command) -> argparse.ArgumentParser:
    """A parser for the options of a command and for :data:`EVERY` option; its help has examples too."""
    examples = "\n".join(f"  {PROGRAM} {command.name} {example}".rstrip() for example in command.examples)
    places = [option.metavar or option.flags[0] for option in command.options if option.flags[0][0] != "-"]
    parser = OneLineParser(
        prog=command.name,
        usage=" ".join([PROGRAM, command.name, "[options]", *places]),
        description=command.description,
        epilog=f"{OPTIONS_OF_SPARK}\n\nexamples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    own = parser.add_argument_group(f"options of {command.name}") if command.options else parser
    every = parser.add_argument_group("options of every command")
    for group, options in ((own, command.options), (every, EVERY)):
        for option in options:
            arguments: dict[str, Any] = {"help": option.help, **option.more}
            if option.metavar is not None:
                arguments["metavar"] = option.metavar
            if option.setting is not None:
                arguments |= {"dest": ASSIGNMENTS, "action": _Assign, "option": option, "default": []}
            group.add_argument(*option.flags, **arguments)
    return parser


class _Assign(argparse.Action):
    """Turns an option that sets a setting into ``section.key=value``."""

    def __init__(self, *, option: Option, **arguments: Any) -> None:
        super().__init__(nargs=None if option.assigns is None else 0, **arguments)
        self._option = option

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        own = self._option
        value = own.to_toml(str(values)) if own.assigns is None else own.assigns
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), f"{own.setting}={value}"])


def command_of(job: Job) -> Command:
    """The command that runs one job."""

    def run(lake: Lake, _: argparse.Namespace) -> dict[str, Any]:
        usual = lake.ledger.usual_seconds().get(job.name) if on_terminal() else None
        record = run_job(lake, job, new_run_id(), usual=usual)
        log.info("%s: done in %s", job.name, clock(record.seconds))
        return {
            "job": job.name,
            "status": record.status,
            "run_id": record.run_id,
            "outputs": record.output_versions,
            "metrics": record.metrics,
        }

    description = sys.modules[job.steps.__module__].__doc__ or ""
    return Command(
        name=job.name, description=description, run=run, options=job.options, examples=job.examples, check=job.check
    )


def main(entry: Job | Command, arguments: Sequence[str] | None = None) -> int:
    """Parses options, loads settings, starts Spark, runs the job, and prints the closing line of JSON.

    Args:
        entry: the job or command.
        arguments: the command line; None for that of the process.

    Returns:
        The exit code: 0 for success, 1 for a failure, 2 for a mistake of the user, 3 for a night that was held back,
        143 for a nightly that SIGTERM ended.
    """
    set_up()
    command = command_of(entry) if isinstance(entry, Job) else entry
    try:
        parsed = parser_of(command).parse_args(arguments)
        set_up(parsed.log_format)
        settings = load_settings(parsed.config, parsed.set)
        command.check(settings)
        lake = Lake(command.start(f"qarm {command.name}", settings.spark), settings, parsed.warehouse)
        with full_disk_told(lake):
            closing = command.run(lake, parsed)
    except (UserError, HeldBackError, FullDiskError, TerminatedError) as error:
        with about(**fields_of(error)):
            say(f"{command.name}: {' '.join(str(error).split())}", logging.ERROR)
        return error.exit_code
    except Exception as error:
        with about(**fields_of(error)):
            log.exception("%s failed", command.name)
        return 1
    if closing is not None:
        sys.stderr.flush()
        print(json.dumps(closing), flush=True)
    return 0
