"""Looks whether this machine, Spark, the warehouse and the models are ready for a night, and says how to mend each.

Begins with what needs no Spark: Python, its packages, Java, room for temporary files. Exit code 0 if a night can run, 2
if something has to be mended first. It leaves nothing behind.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

from pyspark.sql import SparkSession

from jobs.health.gpu import gpu
from jobs.health.memory import driver_memory
from jobs.health.models import judge, language_model
from jobs.health.spark import delta, executors, session
from jobs.health.warehouse import free_space, writing
from lake.command import Command, main
from lake.health import DOCTOR, Finding, tell
from lake.lake import Lake
from lake.logs import first_line
from lake.session import start_session
from schemas.errors import QarmError, UserError
from schemas.sections import SparkSettings

CHECKS: tuple[Callable[[Lake], Finding], ...] = (
    *(session, executors, driver_memory, gpu, writing, delta, free_space),
    *(language_model, judge),
)


def command(lake: Lake, _: argparse.Namespace) -> dict[str, Any]:
    """Tells what it finds, one line each.

    Raises:
        UserError: something has to be mended.
    """
    bad = tell(_found(lake))
    if bad:
        raise UserError(f"to be mended: {', '.join(finding.name for finding in bad)}; the lines above say how")
    print("ready: a night can run", file=sys.stderr)
    return {"job": DOCTOR, "status": "done", "outputs": {}, "metrics": {}}


def _found(lake: Lake) -> Iterator[Finding]:
    for check in CHECKS:
        try:
            yield check(lake)
        except Exception as error:  # a check that breaks is a finding too
            yield Finding(check.__name__.replace("_", " "), first_line(error), "see docs/troubleshooting.md")


def start(name: str, settings: SparkSettings) -> SparkSession:
    """Starts Spark; that it does not start is a finding.

    Raises:
        UserError: Spark does not start.
    """
    try:
        return start_session(name, settings)
    except QarmError:
        raise
    except Exception as error:
        raise UserError(
            f"Spark does not start: {first_line(error)}. The lines above tell why: without a way to Maven's central"
            " repository, put Delta's jars into a folder and set spark.jars (docs/troubleshooting.md)"
        ) from None


COMMAND = Command(name=DOCTOR, description=__doc__ or "", run=command, start=start)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
