"""What the machine must offer before Spark starts, checked so that a lack is one line."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from schemas.errors import UserError
from schemas.private_folder import private_folder

JAVA_VERSIONS = (17, 21)


def folder_of_jars() -> str | None:
    """A folder for the jars that Spark downloads; None for its own choice, which is in the user's home.

    Raises:
        UserError: the user has no home to write to, and the folder in its place is another user's.
    """
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    if home.is_dir() and os.access(home, os.W_OK | os.X_OK):
        return None
    return str(private_folder("jars"))


def check_surroundings() -> None:
    """Checks for Java, for the right pyspark, and for the user's name.

    Raises:
        UserError: there is no Java, its version is too old, another pyspark hides the installed one, or the user has
            no name.
    """
    check_user()
    _check_java()
    check_pyspark()


def check_user() -> None:
    """Checks that the user has a name.

    Raises:
        UserError: the user has none.
    """
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        raise UserError(
            f"user {os.getuid()} has no name on this machine, and Hadoop's login needs one; add the user to"
            " /etc/passwd, as Spark's own container image does when it starts"
        ) from None


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


def check_pyspark() -> None:
    """Checks that the installed pyspark is used: another Spark's folder on PYTHONPATH comes before it.

    A pyspark in a zip is that of the Spark that started this driver, as YARN does in cluster mode: it is the right one.

    Raises:
        UserError: another one is used.
    """
    spec = find_spec("pyspark")
    try:
        installed = Path(str(distribution("pyspark").locate_file("pyspark/__init__.py")))
    except PackageNotFoundError:
        return
    found = Path(spec.origin) if spec is not None and spec.origin else None
    if found is not None and found.is_file() and installed.is_file() and not found.samefile(installed):
        raise UserError(
            f"PYTHONPATH leads to another pyspark, {found.parent}; take it out of PYTHONPATH (QARM_SPARK_HOME names"
            " another Spark)"
        )
