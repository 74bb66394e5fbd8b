"""Environment variables of every Python process: driver, executors' workers, training processes, tests, benchmarks.

The packages have common names (``models``, ``jobs``, …), which the caller's folder may use too. Therefore no process
imports from its working folder or from its script's folder (``PYTHONSAFEPATH``), and the root of the packages comes
first on Python's path. Products of matrices are the same whatever else is multiplied with them (``MKL_CBWR``).
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from schemas.files import ROOT

SAFE_PATH = {"PYTHONSAFEPATH": "1"}

THREADS = {"GOMP_SPINCOUNT": "1000"}
"""How long a waiting OpenMP thread spins before it sleeps. The default, some milliseconds, makes torch very slow while
another process uses the cores; ``python -m benchmarks.threads`` compares both."""

STRICT = {"MKL_CBWR": "AUTO,STRICT"}
"""MKL picks another kernel for few rows than for many, and so other last bits. In its strict mode, which Intel's
processors have, a row of a product does not depend on the other rows."""

THREAD_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Variables by which the user may choose. If one of them is set, :data:`THREADS` is not used."""


def defaults(environment: MutableMapping[str, str] | None = None) -> dict[str, str]:
    """The variables for a Python process, without those that the user has set.

    Args:
        environment: the user's environment; None for that of this process.
    """
    given = os.environ if environment is None else environment
    threads = {} if any(name in given for name in THREAD_CHOICES) else THREADS
    strict = {} if STRICT.keys() & given.keys() else STRICT
    return {**SAFE_PATH, **threads, **strict}


def prepare(environment: MutableMapping[str, str] | None = None) -> None:
    """Sets the variables, for processes that are started and libraries that are loaded later.

    Args:
        environment: the environment that is changed; None for that of this process.
    """
    target = os.environ if environment is None else environment
    target.update(defaults(target))
    paths = [path for path in target.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(ROOT)]
    target["PYTHONPATH"] = os.pathsep.join([str(ROOT), *paths])
