"""The Spark session, with Delta, in UTC."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lake.environment import defaults, prepare
from schemas.errors import UserError
from schemas.sections import SparkSettings

LAUNCHED = "QARM_LAUNCHED"
"""Set by spark-submit.sh: the configuration has been given on spark-submit's command line."""

DELTA_PACKAGE = "io.delta:delta-spark_2.13:4.0.1"


def spark_conf(settings: SparkSettings) -> dict[str, str]:
    """The Spark configuration this project needs, with the user's own on top.

    Args:
        settings: the ``[spark]`` section.

    Raises:
        UserError: ``spark.jars`` names a folder that holds no Delta jars.
    """
    conf = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Readers outside Spark, Petastorm among them, would see rows that a deletion vector removed.
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
        # What the driver gathers is bounded by this project's own settings.
        "spark.driver.maxResultSize": "0",
        # What a job persists is read two or three times; compressing it took half of the JVM's time beside Swing.
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        "spark.ui.showConsoleProgress": "true",
        "spark.log.level": "ERROR",
        **{f"spark.executorEnv.{name}": value for name, value in defaults().items()},
    }
    if settings.jars:
        conf["spark.jars"] = ",".join(_delta_jars(settings.jars))
    else:
        conf["spark.jars.packages"] = DELTA_PACKAGE
    return conf | settings.conf


def _delta_jars(folder: str) -> list[str]:
    jars = sorted(str(path.resolve()) for path in Path(folder).glob("*.jar"))
    if not any("delta-spark_2.13" in Path(jar).name for jar in jars):
        raise UserError(
            f"spark.jars: {folder} holds no delta-spark_2.13 jar; put {DELTA_PACKAGE} with its dependencies there"
        )
    return jars


def start_session(name: str, settings: SparkSettings) -> SparkSession:
    """Starts Spark, or joins the session that spark-submit's options describe.

    Args:
        name: application name, shown in Spark's own pages.
        settings: the ``[spark]`` section.

    Raises:
        UserError: see :func:`spark_conf`.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    prepare()
    builder = SparkSession.builder.appName(name)
    if LAUNCHED not in os.environ:
        for key, value in spark_conf(settings).items():
            builder = builder.config(key, value)
    spark = builder.getOrCreate()
    # On one machine, Spark's 200 shuffle and 50 log partitions are nearly all overhead.
    if (spark.sparkContext.master or "").startswith("local"):
        cores = spark.sparkContext.defaultParallelism
        spark.conf.set("spark.sql.shuffle.partitions", str(settings.shuffle_partitions or 4 * cores))
        spark.conf.set("spark.databricks.delta.snapshotPartitions", str(cores))
    elif settings.shuffle_partitions:
        spark.conf.set("spark.sql.shuffle.partitions", str(settings.shuffle_partitions))
    return spark


def give_back_heap(spark: SparkSession) -> None:
    """Has the driver's JVM return the heap that queries took to the system, before Python works for long beside it.

    G1 keeps the pages of a collected heap until a full collection: those of a million embeddings that passed through
    were 1.8 GB.

    Args:
        spark: whose driver; in client mode the machine where Python works too.
    """
    jvm: Any = spark._jvm
    jvm.System.gc()
