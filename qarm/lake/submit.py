"""The spark-submit command line of a job; ``spark-submit.sh`` runs it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pyspark

import qarm
from qarm.lake.session import spark_conf
from qarm.schemas.errors import UserError
from qarm.schemas.settings import load_settings

WITH_VALUE = {
    "--master", "--deploy-mode", "--name", "--jars", "--packages", "--exclude-packages", "--repositories", "--py-files",
    "--files", "--archives", "--conf", "-c", "--properties-file", "--driver-memory", "--driver-java-options",
    "--driver-library-path", "--driver-class-path", "--driver-cores", "--executor-memory", "--executor-cores",
    "--total-executor-cores", "--num-executors", "--proxy-user", "--principal", "--keytab", "--queue", "--remote",
}  # fmt: skip
ALONE = {"--supervise", "--verbose", "-v"}


def split_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Parts spark-submit's own options from the job's.

    Args:
        arguments: everything behind the job's name.

    Returns:
        spark-submit's options, and the job's.
    """
    spark: list[str] = []
    job: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in WITH_VALUE:
            spark += [argument, next(rest, "")]
        elif argument in ALONE or argument.partition("=")[0] in WITH_VALUE:
            spark.append(argument)
        else:
            job.append(argument)
    return spark, job


def _values(arguments: Sequence[str], option: str) -> list[str]:
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    inline = [a.partition("=")[2] for a in arguments if a.startswith(f"{option}=")]
    return [value for name, value in pairs if name == option] + inline


def pack(folder: Path) -> Path:
    """Packs this package into a zip for ``--py-files``.

    Args:
        folder: where to write ``qarm.zip``.
    """
    root = Path(qarm.__file__).parent
    target = folder / "qarm.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root.parent)
            if path.is_file() and "__pycache__" not in inside.parts:
                archive.write(path, inside)
        for path in sorted((root / "conf").glob("*.toml")):  # a link in a checkout, which rglob does not follow
            name = Path("qarm", "conf", path.name)
            if str(name) not in archive.namelist():
                archive.write(path, name)
    return target


def command_line(job: str, arguments: Sequence[str], packed: Path) -> list[str]:
    """The spark-submit command line that runs a job.

    Args:
        job: the job's name.
        arguments: options of spark-submit and of the job, in any order.
        packed: the package as a zip.

    Raises:
        UserError: no such job, or a setting is wrong.
    """
    entry = Path(qarm.__file__).parent / "jobs" / f"{job}.py"
    if job.startswith("_") or not entry.is_file():
        known = sorted(path.stem for path in entry.parent.glob("*.py") if not path.stem.startswith("_"))
        raise UserError(f"{job} is not a job; the jobs are {', '.join(known)}")
    spark, job_options = split_options(arguments)
    settings = load_settings(_values(job_options, "--config"), _values(job_options, "--set")).spark
    line = [shutil.which("spark-submit", path=str(Path(pyspark.__file__).parent / "bin")) or "spark-submit"]
    if not _values(spark, "--master"):
        line += ["--master", "local[*]"]
    if not _values(spark, "--driver-memory"):
        line += ["--driver-memory", settings.driver_memory]
    for key, value in spark_conf(settings).items():
        if key == "spark.jars.packages":
            line += ["--packages", ",".join([value, *_values(spark, "--packages")])]
        elif key == "spark.jars":
            line += ["--jars", ",".join([value, *_values(spark, "--jars")])]
        else:
            line += ["--conf", f"{key}={value}"]
    line += ["--py-files", ",".join([str(packed), *_values(spark, "--py-files")])]
    line += _without(spark, {"--packages" if not settings.jars else "--jars", "--py-files"})
    return [*line, str(entry), *job_options]


def _without(arguments: Sequence[str], options: set[str]) -> list[str]:
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in options:
            next(rest, None)
        elif argument.partition("=")[0] not in options:
            kept.append(argument)
    return kept


def main(arguments: Sequence[str]) -> int:
    """Replaces this process by spark-submit running a job.

    Args:
        arguments: the job's name, then options.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            "usage: ./spark-submit.sh JOB [options of spark-submit and of the job]; JOB --help lists the latter",
            file=sys.stderr,
        )
        return 0 if arguments else 2
    try:
        folder = Path(tempfile.mkdtemp(prefix="qarm-"))
        line = command_line(arguments[0], arguments[1:], pack(folder))
    except UserError as error:
        print(f"spark-submit.sh: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    # Whatever Spark is installed elsewhere, the wheel's own is the one that was tested.
    os.environ["SPARK_HOME"] = os.environ.get("QARM_SPARK_HOME", str(Path(pyspark.__file__).parent))
    os.execv(line[0], line)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
