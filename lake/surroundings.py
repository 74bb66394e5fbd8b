"""What the machine must offer before Spark starts, checked so that a lack is one line."""

from __future__ import annotations

import getpass
import os
import re
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from schemas.errors import UserError

JAVA_VERSIONS = (17, 21)


def user_name() -> str:
    """The user's name; the number of a user who has none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user-{os.getuid()}"


def check_surroundings() -> None:
    """Checks for Java and for the right pyspark.

    Raises:
        UserError: there is no Java, its version is too old, or another pyspark hides the installed one.
    """
    _check_java()
    _check_pyspark()


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = Path(home) / "bin" / "java" if home else None
    wanted = " or ".join(map(str, JAVA_VERSIONS))
    if java is None and shutil.which("java") is None:
        raise UserError(f"there is no Java; install Java {wanted}, or set JAVA_HOME to one")
    if java is not None and not os.access(java, os.X_OK):
        raise UserError(f"JAVA_HOME is {home}, but {java} is no program; set it to a Java {wanted}, or unset it")
    release = Path(home) / "release" if home else None
    if release is not None and release.is_file():
        found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if found and int(found.group(1)) < min(JAVA_VERSIONS):
            raise UserError(f"JAVA_HOME is {home}, which is Java {found.group(1)}; set it to a Java {wanted}")


def _check_pyspark() -> None:
    """Another Spark's folder on PYTHONPATH comes before the installed packages."""
    spec = find_spec("pyspark")
    try:
        installed = Path(str(distribution("pyspark").locate_file("pyspark/__init__.py")))
    except PackageNotFoundError:
        return
    found = Path(spec.origin) if spec is not None and spec.origin else None
    if found is not None and installed.is_file() and not found.samefile(installed):
        raise UserError(
            f"PYTHONPATH leads to another pyspark, {found.parent}; take it out of PYTHONPATH (QARM_SPARK_HOME names"
            " another Spark)"
        )
