"""Runs the scripts of ``benchmarks/other_models``, each kind in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def run_script(python: Path, script: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Runs a script that imports from its own folder.

    A benchmark that has started Spark has ``PYTHONSAFEPATH`` set, with which a script does not see its folder.

    Args:
        python: the Python of the environment.
        script: the script.
        arguments: its arguments.
        environment: variables beside those of this process.

    Raises:
        CalledProcessError: it failed; what it said is on stderr.
    """
    own = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    subprocess.run([str(python), str(script), *arguments], check=True, env=own | dict(environment or {}))
