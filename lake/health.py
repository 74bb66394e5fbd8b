"""Findings of ``doctor``, and what it looks at before Spark starts; needs nothing but Python's own library."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lake.surroundings import JAVA_VERSIONS, check_pyspark, check_user
from schemas.errors import UserError
from schemas.files import ROOT

DOCTOR = "doctor"
"""Name of the command."""

LEAST_SCRATCH = 2 * 2**30
"""Bytes that the folder for temporary files should have free: models and training files pass through it."""

MOST_NAMED = 4


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        name: what was checked.
        says: what was found.
        mend: how to mend it; "" if nothing has to be.
        may_stay: whether qarm works all the same.
    """

    name: str
    says: str
    mend: str = ""
    may_stay: bool = False

    @property
    def is_bad(self) -> bool:
        """Whether qarm does not work until it is mended."""
        return bool(self.mend) and not self.may_stay

    def line(self) -> str:
        """The finding as a line, with a second one for the way to mend it."""
        mark = "ok" if not self.mend else "note" if self.may_stay else "BAD"
        return f"{mark:<6}{self.name:<18}{self.says}" + (f"\n{'':<24}-> {self.mend}" if self.mend else "")


def tell(findings: Iterable[Finding]) -> list[Finding]:
    """Prints findings on stderr as they come, and returns those that are bad."""
    bad = []
    for finding in findings:
        print(finding.line(), file=sys.stderr, flush=True)
        bad += [finding] if finding.is_bad else []
    return bad


def check_machine() -> bool:
    """Tells of Python, its packages, Java and the disk for temporary files.

    Returns:
        Whether Spark can be started.
    """
    checks: tuple[Callable[[], Finding], ...] = (_python, _packages, _java, _spark_home, _scratch)
    bad = tell(check() for check in checks)
    if bad:
        names = ", ".join(finding.name for finding in bad)
        print(f"{DOCTOR}: {names}: mend it first; Spark, warehouse and models were not looked at", file=sys.stderr)
    return not bad


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = _project()["project"]["requires-python"]
    fits = sys.version_info[:2] == (3, 11)
    mend = "" if fits else "run make setup PYTHON=/path/to/python3.11, or set QARM_PYTHON to a Python 3.11"
    return Finding("Python", f"{found} at {sys.executable}" + ("" if fits else f"; qarm needs {wanted}"), mend)


def _project() -> dict[str, dict[str, str]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _packages() -> Finding:
    listed = _project()["project"]["dependencies"]
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return Finding("packages", "none of qarm's packages is installed here", "run make setup")
    wrong = []
    for text in listed:
        needed = Requirement(text)
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            wrong.append(f"{needed.name} is not installed")
            continue
        if not needed.specifier.contains(found, prereleases=True):
            wrong.append(f"{needed.name} is {found}, not {needed.specifier}")
    if not wrong:
        return Finding("packages", f"{len(listed)} as pyproject.toml asks for")
    more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
    return Finding("packages", "; ".join(wrong[:MOST_NAMED]) + more, "run make setup")


def _java() -> Finding:
    wanted = " or ".join(map(str, JAVA_VERSIONS))
    home = os.environ.get("JAVA_HOME") or None
    java = shutil.which("java") if home is None else str(Path(home) / "bin" / "java")
    where = "on PATH" if home is None else f"in JAVA_HOME={home}"
    mend = f"install Java {wanted} (e.g. apt-get install openjdk-17-jre-headless), or set JAVA_HOME to one"
    if java is None or not os.access(java, os.X_OK):
        return Finding("Java", f"there is none {where}", mend)
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("Java", f"{java} does not run: {error}", mend)
    found = re.search(r'version "(?:1\.)?(\d+)([^"]*)"', done.stderr + done.stdout)
    if done.returncode or found is None:
        return Finding(
            "Java", f"{java} does not run: {(done.stderr.strip().splitlines() or ['it says nothing'])[0]}", mend
        )
    number = int(found.group(1))
    says = f"{number}{found.group(2)} at {java}"
    if number < min(JAVA_VERSIONS):
        return Finding("Java", f"{says}; Spark needs {wanted}", mend)
    return Finding("Java", says, "" if number in JAVA_VERSIONS else f"tested are {wanted}", may_stay=True)


def _spark_home() -> Finding:
    try:
        check_user()
        check_pyspark()
    except UserError as error:
        found, _, mend = str(error).partition("; ")
        return Finding("surroundings", found, mend or "see docs/troubleshooting.md")
    given = os.environ.get("QARM_SPARK_HOME")
    if given is not None and not (Path(given) / "bin" / "spark-submit").is_file():
        return Finding(
            "surroundings",
            f"QARM_SPARK_HOME is {given}, which is no Spark",
            "unset it, or set it to the folder of a Spark",
        )
    return Finding("surroundings", f"Spark's folder is {given or 'that of the package pyspark'}")


def _scratch() -> Finding:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    mend = "" if free >= LEAST_SCRATCH else "free some, or set TMPDIR to a folder on a larger disk"
    return Finding("temporary files", f"{folder}, {gigabytes(free)} free", mend, may_stay=free > 0)


def gigabytes(count: float) -> str:
    """Bytes in words."""
    return f"{count / 2**30:,.1f} GB"
