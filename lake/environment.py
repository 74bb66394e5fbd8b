"""What every Python of a run is started with: driver, executors' workers, training processes, tests, benchmarks.

The rooms have common names (``models``, ``jobs``, …), and so has what lies in a caller's folder. So no Python of a run
looks into its working folder or beside its script (``PYTHONSAFEPATH``), and the rooms come before all else on its path.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from schemas.files import ROOT

SAFE_PATH = {"PYTHONSAFEPATH": "1"}

THREADS = {"GOMP_SPINCOUNT": "1000"}
"""OpenMP's threads spin this long while they wait, then sleep. Spinning for its default, some milliseconds, makes torch
collapse beside any other busy process; ``python -m benchmarks.threads`` shows both."""

THREAD_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Where the user has set one of them, none is set here."""


def defaults(environment: MutableMapping[str, str] | None = None) -> dict[str, str]:
    """The variables that a Python is started with, less those that the user chose.

    Args:
        environment: in which the user may have chosen; None for this process's own.
    """
    given = os.environ if environment is None else environment
    threads = {} if any(name in given for name in THREAD_CHOICES) else THREADS
    return {**SAFE_PATH, **threads}


def prepare(environment: MutableMapping[str, str] | None = None) -> None:
    """Sets the variables for the processes that this one starts, and for libraries that it loads from now on.

    Args:
        environment: that is changed; None for this process's own.
    """
    target = os.environ if environment is None else environment
    target.update(defaults(target))
    paths = [path for path in target.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(ROOT)]
    target["PYTHONPATH"] = os.pathsep.join([str(ROOT), *paths])
