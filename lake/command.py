"""The command line of a job: options, exit codes, the closing line of JSON."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lake.job import Job, Lake, new_run_id, run_job
from lake.session import start_session
from schemas.errors import UserError
from schemas.settings import load_settings

log = logging.getLogger("qarm")

Command = Callable[[Lake, argparse.Namespace], dict[str, Any] | None]


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong, and exits with 2."""
        self.exit(2, f"{self.prog}: {message}; --help lists the options\n")


def job_parser(name: str, description: str) -> argparse.ArgumentParser:
    """The options that every job takes."""
    parser = OneLineParser(prog=name, description=description, allow_abbrev=False)
    parser.add_argument(
        "--warehouse", default="./warehouse", metavar="URL", help="folder or catalog.schema of the tables"
    )
    parser.add_argument("--config", action="append", default=[], metavar="FILE.toml", help="settings; later wins")
    parser.add_argument(
        "--set", action="append", default=[], metavar="section.key=value", help="one setting; later wins"
    )
    return parser


def ingest_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``ingest``, which ``nightly`` takes too."""
    parser.add_argument("--interactions", metavar="PATH", help="the interaction log")
    parser.add_argument("--items", metavar="PATH", help="the item catalogue")
    parser.add_argument("--format", metavar="FORMAT", help="parquet, csv, json or delta; by extension where left out")
    parser.add_argument("--rename", metavar="a=user_id,b=item_id", help="the files' columns = our columns")


def score_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``score``."""
    parser.set_defaults(section="score")
    parser.add_argument("--candidates", metavar="PATH", help="the users' candidates: user_id, item_id, as_of if any")
    parser.add_argument("--as-of", metavar="TIME", help="when they are ranked, where their rows do not say, UTC")
    parser.add_argument("--format", metavar="FORMAT", help="parquet, csv, json or delta; by extension where left out")
    parser.add_argument("--rename", metavar="a=user_id,b=item_id", help="the file's columns = our columns")


def _assignments(options: argparse.Namespace) -> list[str]:
    """The job's own options, as settings."""
    extra = []
    section = getattr(options, "section", "ingest")
    for name in ("interactions", "items", "candidates", "as_of", "format"):
        value = getattr(options, name, None)
        if value is not None:
            extra.append(f"{section}.{name}={json.dumps(value)}")
    if getattr(options, "rename", None):
        pairs = [part.partition("=") for part in options.rename.split(",")]
        if not all(theirs and ours for theirs, _, ours in pairs):
            raise UserError(f"--rename {options.rename}: expected theirs=ours,theirs=ours")
        table = ", ".join(f"{json.dumps(theirs)} = {json.dumps(ours)}" for theirs, _, ours in pairs)
        extra.append(f"{section}.rename={{ {table} }}")
    return extra


def main(
    job: Job,
    arguments: Sequence[str] | None = None,
    options: Callable[[argparse.ArgumentParser], None] = lambda _: None,
) -> int:
    """Runs one job from the command line.

    Args:
        job: the job.
        arguments: the command line; None for the process's own.
        options: adds the job's own options.

    Returns:
        The exit code: 0 done, 1 a failure of ours, 2 a mistake of the user's.
    """
    parser = job_parser(job.name, sys.modules[job.steps.__module__].__doc__ or "")
    options(parser)

    def command(lake: Lake, _: argparse.Namespace) -> dict[str, Any]:
        record = run_job(lake, job, new_run_id())
        return {
            "job": job.name,
            "status": record.status,
            "run_id": record.run_id,
            "outputs": record.output_versions,
            "metrics": record.metrics,
        }

    return run_command(parser, command, arguments)


def run_command(parser: argparse.ArgumentParser, command: Command, arguments: Sequence[str] | None = None) -> int:
    """Parses options, loads settings, starts Spark, runs a command and prints its closing line of JSON.

    Returns:
        The exit code, see :func:`main`.
    """
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    log.setLevel(logging.INFO)
    parsed = parser.parse_args(arguments)
    try:
        settings = load_settings(parsed.config, [*parsed.set, *_assignments(parsed)])
        lake = Lake(start_session(f"qarm {parser.prog}", settings.spark), settings, parsed.warehouse)
        closing = command(lake, parsed)
    except UserError as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Exception:
        log.exception("%s failed", parser.prog)
        return 1
    if closing is not None:
        sys.stderr.flush()
        print(json.dumps(closing), flush=True)
    return 0
