"""Jars that only the tests on clusters need, resolved by Spark's own Ivy, and a JVM that has them on its class path."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pyspark
from py4j.java_gateway import JavaGateway
from pyspark.java_gateway import launch_gateway


@dataclass(frozen=True)
class Conf:
    """What pyspark asks a SparkConf for when it starts a JVM."""

    values: Mapping[str, str]

    def getAll(self) -> list[tuple[str, str]]:  # noqa: N802
        return [*self.values.items()]


def start_jvm(conf: Mapping[str, str], cwd: Path | None = None) -> JavaGateway:
    """Starts a JVM with Spark's jars, which is driven over py4j; no compiler of Java is needed.

    Args:
        conf: settings of Spark, e.g. ``spark.driver.extraClassPath``.
        cwd: the folder that it works in; None for that of this process.
    """
    home = os.path.dirname(pyspark.__file__)
    with patch.dict(os.environ, {"SPARK_HOME": home, "PYSPARK_SUBMIT_ARGS": "pyspark-shell"}):
        return launch_gateway(conf=Conf(conf), popen_kwargs={"cwd": cwd})


def stop_jvm(gateway: JavaGateway) -> None:
    """Ends a JVM of :func:`start_jvm`, which lives as long as its standard input is open."""
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(timeout=60)


def resolved(packages: Sequence[str], excluded: Sequence[str] = ()) -> list[str]:
    """The paths of the jars of Maven packages and of all that they depend on.

    Args:
        packages: coordinates ``group:artifact:version``.
        excluded: ``group:artifact`` of dependencies that Spark brings itself.
    """
    wanted = {"spark.jars.packages": ",".join(packages), "spark.jars.excludes": ",".join(excluded)}
    gateway = start_jvm({**wanted, "spark.driver.memory": "256m"})
    try:
        return [jar.removeprefix("file:") for jar in str(gateway.jvm.System.getProperty("spark.jars")).split(",")]
    finally:
        stop_jvm(gateway)
