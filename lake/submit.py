"""Builds and starts the spark-submit command line of a job; ``spark-submit.sh`` runs this module."""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import shlex
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyspark

from lake.environment import prepare
from lake.session import LAUNCHED, spark_conf
from schemas.errors import UserError
from schemas.files import ROOT
from schemas.private_folder import private_folder
from schemas.sections import SparkSettings
from schemas.settings import load_settings

ROOMS = ("jobs", "udfs", "lake", "models", "schemas")
KINDS = ("*.py", "*.j2", "*.css", "*.js")
"""Files of the rooms that belong to the code."""

ONE_ATTEMPT = "spark.yarn.maxAppAttempts"
"""In cluster mode, YARN would start a killed driver again at once, while the dead one still counts as alive."""

RUN_JOB = Path(__file__).parent / "entry" / "run_job.py"
USAGE = "usage: ./spark-submit.sh JOB [options of spark-submit and of the job]; JOB --help shows the job's options"
WITH_VALUE = [
    *("--master", "--deploy-mode", "--name", "--jars", "--packages", "--exclude-packages", "--repositories"),
    *("--py-files", "--files", "--archives", "--conf", "--properties-file", "--driver-memory", "--driver-cores"),
    *("--driver-java-options", "--driver-library-path", "--driver-class-path", "--executor-memory"),
    *("--executor-cores", "--total-executor-cores", "--num-executors", "--proxy-user", "--principal", "--keytab"),
    "--queue",
]
ALONE = ["--supervise", "--verbose"]


def split_options(arguments: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Separates the options of spark-submit from those of the job.

    Args:
        arguments: the arguments after the job's name.

    Returns:
        spark-submit's options with their values (an empty list for a flag), and the job's arguments in order.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in WITH_VALUE:
        parser.add_argument(option, action="append", dest=option)
    for option in ALONE:
        parser.add_argument(option, action="store_const", const=[], dest=option)
    known, job = parser.parse_known_args(arguments)
    return {option: values for option, values in vars(known).items() if values is not None}, job


def _settings_of(job: Sequence[str]) -> SparkSettings:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--set", action="append", default=[])
    known, _ = parser.parse_known_args(job)
    return load_settings(known.config, known.set).spark


def pack(folder: Path) -> Path:
    """Packs the code and the default settings into a zip for ``--py-files``, named by a hash of its content.

    Args:
        folder: folder of the zip; an existing zip with the same content is used again.

    Returns:
        The zip.
    """
    code = [path for room in ROOMS for kind in KINDS for path in (ROOT / room).rglob(kind)]
    files = sorted([*code, *(ROOT / "conf").glob("*.toml")])
    content = b"".join(str(path.relative_to(ROOT)).encode() + path.read_bytes() for path in files)
    digest = hashlib.sha256(content).hexdigest()[:16]
    target = folder / f"qarm-{digest}.zip"
    if not target.exists():
        partial = folder / f"qarm-{digest}-{os.getpid()}.partial"
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(ROOT))
        partial.rename(target)
    return target


def entry_of(job: str) -> Path:
    """The file of a job.

    Raises:
        UserError: there is no such job.
    """
    entry = ROOT / "jobs" / f"{job}.py"
    if job.startswith("_") or not entry.is_file():
        raise UserError(f"{job} is not a job; the jobs are {', '.join(jobs())}")
    return entry


def jobs() -> dict[str, str]:
    """What each job does, by its name: the first line of its file."""
    files = sorted(path for path in (ROOT / "jobs").glob("*.py") if not path.stem.startswith("_"))
    told = ((path.stem, ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))) for path in files)
    return {name: (text or "").partition("\n")[0] for name, text in told}


def spark_options(given: Mapping[str, list[str]], settings: SparkSettings, packed: Path) -> list[str]:
    """The options of spark-submit; options of the user take precedence.

    Args:
        given: the user's options, see :func:`split_options`.
        settings: the ``[spark]`` section.
        packed: the zip of the code.

    Raises:
        UserError: see :func:`lake.session.spark_conf`.
    """
    spark, ours = dict(given), spark_conf(settings)
    for option, key in (("--packages", "spark.jars.packages"), ("--jars", "spark.jars")):
        if key in ours:
            spark[option] = [",".join([ours.pop(key), *spark.get(option, [])])]
    ours = {ONE_ATTEMPT: "1", **ours}
    spark["--py-files"] = [",".join([str(packed), *spark.get("--py-files", [])])]
    spark["--conf"] = [*(f"{key}={value}" for key, value in ours.items()), *spark.get("--conf", [])]
    spark.setdefault("--master", ["local[*]"])
    spark.setdefault("--driver-memory", [settings.driver_memory])
    line = []
    for option, values in spark.items():
        line += [part for value in values for part in (option, value)] if values else [option]
    return line


def spark_home() -> str:
    """The folder of Spark: environment variable QARM_SPARK_HOME, else that of the installed package pyspark."""
    return os.environ.get("QARM_SPARK_HOME", str(Path(pyspark.__file__).parent))


def main(arguments: Sequence[str]) -> int:
    """Replaces this process by the job's driver, or by spark-submit in cluster mode.

    In client mode, Python is started first and starts the JVM by ``PYSPARK_SUBMIT_ARGS``, because spark-submit would
    redirect the driver's stderr to stdout.

    Args:
        arguments: the job's name, then options.

    Returns:
        An exit code, if no job was started.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = (f"  {name:<22}{does}" for name, does in jobs().items())
        print("\n".join((USAGE, "", "jobs:", *lines)), file=sys.stderr)
        return 0 if arguments else 2
    try:
        entry = entry_of(arguments[0])
        given, job_options = split_options(arguments[1:])
        options = spark_options(given, _settings_of(job_options), pack(private_folder("packages")))
    except UserError as error:
        print(f"spark-submit.sh: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    prepare()
    os.environ["SPARK_HOME"] = spark_home()
    os.environ[LAUNCHED] = "1"
    if given.get("--deploy-mode") == ["cluster"]:
        submit = str(Path(spark_home()) / "bin" / "spark-submit")
        return os.execv(submit, [submit, *options, str(RUN_JOB), entry.stem, *job_options])
    os.environ["PYSPARK_SUBMIT_ARGS"] = shlex.join([*options, "pyspark-shell"])
    return os.execv(sys.executable, [sys.executable, "-m", f"jobs.{entry.stem}", *job_options])
