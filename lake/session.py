"""Starts the Spark session, with Delta and in UTC."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from lake.environment import defaults, prepare
from lake.java_messages import start_told
from lake.surroundings import check_surroundings, folder_of_jars
from schemas.errors import UserError
from schemas.files import ROOT
from schemas.sections import SparkSettings

LAUNCHED = "QARM_LAUNCHED"
"""Environment variable that spark-submit.sh sets once Spark's configuration is on spark-submit's command line."""

GATEWAY = "PYSPARK_GATEWAY_PORT"
"""Environment variable that Spark sets for a driver that spark-submit itself has started, as it does in cluster mode.
There, the variables of the shell that spark-submit.sh ran in are not set."""

PROCESSES = ("spark.executorEnv", "spark.yarn.appMasterEnv", "spark.kubernetes.driverEnv")
"""What the settings begin with that give environment variables to executors, and to drivers in cluster mode."""

DAEMON = "udfs.daemon"
"""Module of the process that forks Python workers."""

DELTA_PACKAGE = "io.delta:delta-spark_2.13:4.0.1"


def spark_conf(settings: SparkSettings) -> dict[str, str]:
    """The Spark configuration that this project needs; settings of the user take precedence.

    Args:
        settings: the ``[spark]`` section.

    Raises:
        UserError: the folder ``spark.jars`` holds no Delta jar.
    """
    conf = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Readers outside Spark, e.g. Petastorm, ignore deletion vectors and would read deleted rows.
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
        # No limit of Spark: settings of this project bound what the driver collects.
        "spark.driver.maxResultSize": "0",
        # Persisted frames are read two or three times; compressing them took half of the JVM's time, Swing not counted.
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        # A ranking example has kilobytes. Of batches of 10,000, Spark's default, each task fills some 100 MB at a time.
        "spark.sql.inMemoryColumnarStorage.batchSize": "1000",
        # Java's streams hold what was read until they are reset, by default a hundred batches: half a gigabyte a task.
        "spark.serializer.objectStreamReset": "10",
        # What input files say is read as it stands: nanoseconds, which Spark refuses, as numbers; a folder day=01 as
        # the text 01; the last of a map's equal keys; and all encodings that Java knows.
        "spark.sql.legacy.parquet.nanosAsLong": "true",
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
        "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
        "spark.sql.legacy.javaCharsets": "true",
        "spark.sql.caseSensitive": "false",
        "spark.sql.ansi.enabled": "true",
        # PySpark notes the line of every expression, for the messages of errors, by 46 % of its calls into the JVM.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        # Connections to the Thrift server share one session: temporary views and functions are of a session.
        "spark.sql.hive.thriftServer.singleSession": "true",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        # In client mode the driver has them from its own environment, in cluster mode from the cluster's manager.
        **{f"{process}.{name}": value for process in PROCESSES for name, value in defaults().items()},
    }
    if settings.jars:
        conf["spark.jars"] = ",".join(_delta_jars(settings.jars))
    else:
        conf["spark.jars.packages"] = DELTA_PACKAGE
        if (folder := folder_of_jars()) is not None:
            conf["spark.jars.ivy"] = folder
    return conf | settings.conf


def _delta_jars(folder: str) -> list[str]:
    jars = sorted(str(path.resolve()) for path in Path(folder).glob("*.jar"))
    if not any("delta-spark_2.13" in Path(jar).name for jar in jars):
        raise UserError(
            f"spark.jars: {folder} holds no delta-spark_2.13 jar; put the jars of {DELTA_PACKAGE} and of its"
            " dependencies there"
        )
    return jars


def start_session(name: str, settings: SparkSettings) -> SparkSession:
    """Starts Spark, or returns the session that is already running.

    Args:
        name: name of the application in Spark's web pages.
        settings: the ``[spark]`` section.

    Raises:
        UserError: see :func:`spark_conf` and :func:`lake.surroundings.check_surroundings`.
    """
    check_surroundings()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    prepare()
    conf = SparkConf().setAppName(name)
    if LAUNCHED not in os.environ and GATEWAY not in os.environ:
        conf.setAll([*spark_conf(settings).items()])
    runs = SparkSession.getActiveSession() is not None
    with nullcontext() if runs or GATEWAY in os.environ else start_told():
        context = SparkContext.getOrCreate(conf)
        if not runs:
            _hide_loader(context)
        spark = SparkSession.builder.config(conf=conf).getOrCreate()
    # On one machine, Spark's default of 200 shuffle partitions and Delta's of 50 are mostly overhead.
    if (spark.sparkContext.master or "").startswith("local"):
        cores = spark.sparkContext.defaultParallelism
        spark.conf.set("spark.sql.shuffle.partitions", str(settings.shuffle_partitions or 4 * cores))
        spark.conf.set("spark.databricks.delta.snapshotPartitions", str(cores))
        # VACUUM lists files by this many tasks, 10,000 by default: 24 seconds for a table of one file.
        spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", str(4 * cores))
        _fork_ready_workers(spark.sparkContext)
    elif settings.shuffle_partitions:
        spark.conf.set("spark.sql.shuffle.partitions", str(settings.shuffle_partitions))
    return spark


def _fork_ready_workers(context: SparkContext) -> None:
    """Has this machine's Python workers forked by :data:`DAEMON`, unless the user set another one.

    Java must have the code's folder on Python's path, which a session that others started may lack. Executors of a
    cluster get the code with their first task, too late for it.
    """
    jvm: Any = context._jvm
    paths = (jvm.java.lang.System.getenv("PYTHONPATH") or "").split(os.pathsep)
    if str(ROOT) in paths:
        jvm.org.apache.spark.SparkEnv.get().conf().setIfMissing("spark.python.daemon.module", DAEMON)


def _hide_loader(context: SparkContext) -> None:
    """Puts the class loader that knows Delta behind one that does not tell its parent.

    Whoever disconnects from the Thrift server makes Hive close all class loaders between Spark's and the connection's.
    After that, no class of ``spark.jars.packages`` that was not used before can be loaded, in any session.
    """
    jvm: Any = context._jvm
    gateway: Any = context._gateway
    thread = jvm.java.lang.Thread.currentThread()
    no_jars = gateway.new_array(jvm.java.net.URL, 0)
    loader = jvm.org.apache.spark.util.ChildFirstURLClassLoader(no_jars, thread.getContextClassLoader())
    thread.setContextClassLoader(loader)


def give_back_heap(spark: SparkSession) -> None:
    """Makes the driver's JVM return unused heap to the operating system, for long work in Python on the same machine.

    G1 returns heap only at a full collection; after a million embeddings had been read, 1.8 GB were unused.

    Args:
        spark: the session whose driver is meant; in client mode it runs on the machine of this process.
    """
    jvm: Any = spark._jvm
    jvm.System.gc()
